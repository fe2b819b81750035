"""Which proxy a portal is polled through: the configured one, or the environment's."""

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes, urlsplit

from docspace_exporter.config.portals import Portal
from docspace_exporter.net import is_loopback, split_url


class InvalidProxyError(Exception):
    """The environment names an unusable proxy; the message names the variable, not its value."""


def proxy_url(portal: Portal, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the URL of a portal's proxy, None for a direct connection; raises InvalidProxyError.

    Loopback portals never use a proxy of the environment. Lower-case variables take precedence.
    """
    if portal.proxy_url:
        return portal.proxy_url
    parts = urlsplit(portal.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    no_proxy = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if is_loopback(host) or is_excepted(host, port, no_proxy):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if value := environment.get(variable, "").strip():
                return _validated(variable, value)
    return None


def _validated(variable: str, value: str) -> str:
    url = value if "://" in value else f"http://{value}"
    if split_url(url) is None:
        raise InvalidProxyError(
            f"{variable} is not the URL of an HTTP proxy: expected one such as http://proxy.example:3128; "
            "SOCKS is not supported"
        )
    return url


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Return whether NO_PROXY excepts a host. Entries mean what they mean to Go programs such as Prometheus.

    `example.com` matches the host and its subdomains, `.example.com` and `*.example.com` only subdomains,
    `10.0.0.0/8` and `2001:db8::/32` addresses, `*` everything; an entry may end with a port.
    """
    address = _address(host)
    return any(
        _matches(entry.lower(), host.lower(), address, port) for entry in re.split(r"[,\s]+", no_proxy)
    )


def _matches(entry: str, host: str, address: str | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _in_network(address, entry)
    name = entry
    if _address(entry) is None:
        before, colon, entry_port = entry.rpartition(":")
        if colon and entry_port.isdecimal():
            if int(entry_port) != port:
                return False
            name = before
    if (entry_address := _address(name)) is not None:
        return entry_address == address
    name = name.removeprefix("*")
    return bool(name) and (host.endswith(name) if name.startswith(".") else f".{host}".endswith(f".{name}"))


def _address(host: str) -> str | None:
    """Return an IP address in its usual spelling; None if the host is a name."""
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def _in_network(address: str, entry: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def authorization(url: str) -> dict[str, str]:
    """Return the headers that log in to a proxy, none if its URL has no user; any characters may be used."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return {}
    name, _, password = user.partition(":")
    credentials = base64.b64encode(b"%b:%b" % (unquote_to_bytes(name), unquote_to_bytes(password)))
    return {"Proxy-Authorization": f"Basic {credentials.decode()}"}

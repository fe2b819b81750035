"""Parses URLs and listen addresses, and recognizes loopback hosts."""

import ipaddress
from urllib.parse import SplitResult, urlsplit


class AddressError(ValueError):
    """The text is not a valid listen address; the message says what is expected."""


def split_url(text: str) -> SplitResult | None:
    """Return the parts of an http or https URL; None if it is invalid."""
    if not text.isprintable() or " " in text or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is a loopback one."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_listen_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `:port` or `[v6]:port`; raises AddressError."""
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    digits = port.isascii() and port.isdecimal() and len(port) <= len("65535")
    if not colon or not digits or int(port) > 65535 or (":" in bare and bare == host):
        raise AddressError(f"invalid listen address {address!r}: expected host:port, :port or [v6]:port")
    return bare, int(port)

"""Private parts of libraries that the exporter relies on: an update that removes one fails here, by name."""

import http.client
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.utils import floatToGoString
from requests import Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

INTERNALS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "docspace/transport.py overrides urllib3's HTTPConnection._new_conn": (
        HTTPConnection._new_conn,
        ["self"],
    ),
    "docspace/transport.py overrides http.client's HTTPResponse._read_status": (
        http.client.HTTPResponse._read_status,  # type: ignore[attr-defined]
        ["self"],
    ),
    "docspace/transport.py overrides requests' Session.get_redirect_target": (
        Session.get_redirect_target,
        ["self", "resp"],
    ),
    "docspace/transport.py overrides requests' HTTPAdapter.get_connection_with_tls_context": (
        HTTPAdapter.get_connection_with_tls_context,
        ["self", "request", "verify", "proxies", "cert"],
    ),
    "docspace/transport.py overrides requests' HTTPAdapter.cert_verify": (
        HTTPAdapter.cert_verify,
        ["self", "conn", "url", "verify", "cert"],
    ),
    "portal_text.py calls prometheus-client's floatToGoString": (floatToGoString, ["d"]),
}


@pytest.mark.parametrize("use", INTERNALS)
def test_the_signature_of_an_internal_is_unchanged(use: str) -> None:
    function, parameters = INTERNALS[use]
    assert list(inspect.signature(function).parameters) == parameters, f"{use}, whose signature has changed"


def test_a_connection_of_urllib3_knows_the_host_to_resolve() -> None:
    assert hasattr(HTTPConnection("localhost"), "_dns_host"), "docspace/transport.py resolves _dns_host"


def test_a_pool_of_urllib3_takes_its_class_of_connections() -> None:
    assert hasattr(HTTPConnectionPool, "ConnectionCls"), "docspace/transport.py sets ConnectionCls"

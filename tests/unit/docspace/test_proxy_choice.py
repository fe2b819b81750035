"""Which proxy the environment sets for a portal, and which portals NO_PROXY excludes."""

import base64

import pytest

from docspace_exporter.docspace import proxy
from docspace_exporter.docspace.proxy import InvalidProxyError, is_excepted
from tests.support.faulty_portal import FaultyPortal, respond
from tests.support.portals import failure_at, portal_at

ACME = "https://acme.example"
PROXY = "http://proxy.example:3128"


def chosen(url: str = ACME, **environment: str) -> str | None:
    return proxy.proxy_url(portal_at(url), environment)


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        (ACME, {}, None),
        (ACME, {"HTTPS_PROXY": PROXY}, PROXY),
        (ACME, {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        (ACME, {"HTTPS_PROXY": f"  {PROXY}\n"}, PROXY),
        (ACME, {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        (ACME, {"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, PROXY),
        (ACME, {"HTTP_PROXY": PROXY}, None),
        ("http://acme.example", {"HTTP_PROXY": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        ("http://acme.example", {"all_proxy": PROXY}, PROXY),
        (ACME, {"HTTPS_PROXY": PROXY, "NO_PROXY": "acme.example"}, None),
        (ACME, {"HTTPS_PROXY": PROXY, "no_proxy": "acme.example", "NO_PROXY": ""}, None),
        ("https://127.0.0.1:9", {"HTTPS_PROXY": PROXY}, None),
        ("https://localhost", {"ALL_PROXY": PROXY}, None),
    ],
)
def test_a_proxy_is_chosen_from_the_environment(
    url: str, environment: dict[str, str], expected: str | None
) -> None:
    assert chosen(url, **environment) == expected


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "value",
    ["socks5://user:hunter2@proxy.example:1080", "socks5h://hunter2", "http://proxy:port", "ftp://hunter2"],
)
def test_an_invalid_proxy_is_reported_by_the_name_of_its_variable_and_not_quoted(
    variable: str, value: str
) -> None:
    with pytest.raises(InvalidProxyError) as caught:
        chosen(**{variable: value})
    assert str(caught.value).startswith(f"{variable} is not the URL of an HTTP proxy: ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "expected"),
    [
        ("", "acme.example", 443, False),
        ("*", "acme.example", 443, True),
        ("acme.example", "acme.example", 443, True),
        ("ACME.example", "acme.EXAMPLE", 443, True),
        ("example", "acme.example", 443, True),
        ("acme.example", "notacme.example", 443, False),
        (".example", "acme.example", 443, True),
        (".acme.example", "acme.example", 443, False),
        ("*.example", "acme.example", 443, True),
        ("*.acme.example", "acme.example", 443, False),
        ("*.acme.example", "eu.acme.example", 443, True),
        ("acme.example:443", "acme.example", 443, True),
        ("acme.example:8443", "acme.example", 443, False),
        ("other, acme.example", "acme.example", 443, True),
        ("other acme.example", "acme.example", 443, True),
        (" , ,", "acme.example", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.1/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "acme.example", 443, False),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:80", "10.1.2.3", 443, False),
        ("2001:db8::/32", "2001:db8:1::5", 443, True),
        ("2001:db8::/32", "2001:db9::5", 443, False),
        ("2001:db8::/32", "10.1.2.3", 443, False),
        ("2001:0db8::1", "2001:db8::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("[2001:db8::1]:80", "2001:db8::1", 443, False),
        ("*", "2001:db8::1", 443, True),
    ],
)
def test_no_proxy_is_interpreted_as_by_go_programs(
    no_proxy: str, host: str, port: int, expected: bool
) -> None:
    assert is_excepted(host, port, no_proxy) is expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("ann:secret", b"ann:secret"),
        ("ann:p%40ss%3A", b"ann:p@ss:"),
        ("ann:%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C", "ann:пароль".encode()),
        ("ann:%E9", b"ann:\xe9"),
        ("ann", b"ann:"),
    ],
)
def test_a_proxy_password_may_contain_any_characters(user: str, expected: bytes) -> None:
    headers = proxy.authorization(f"http://{user}@proxy.example")
    assert headers == {"Proxy-Authorization": f"Basic {base64.b64encode(expected).decode()}"}


def test_a_proxy_without_a_user_gets_no_credentials() -> None:
    assert proxy.authorization(PROXY) == {}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_requires_a_password_is_reported_as_the_cause(scheme: str) -> None:
    with FaultyPortal(respond(407, b"", Proxy_Authenticate="Basic")) as server:
        url = server.url.replace("//", "//ann:%D0%BF%D0%B0%D1%80@")
        failure = failure_at(portal_at(f"{scheme}://acme.example", proxy_url=url))
    expected = base64.b64encode("ann:пар".encode()).decode()
    assert f"Proxy-Authorization: Basic {expected}\r\n" in server.requests[0]
    assert "the proxy requires a valid user name and password" in failure.message

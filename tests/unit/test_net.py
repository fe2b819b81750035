"""Addresses as text."""

import pytest

from docspace_exporter import net


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (":10059", ("", 10059)),
        ("localhost:0", ("localhost", 0)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:10059", ("::1", 10059)),
    ],
)
def test_listen_addresses_are_split(address: str, expected: tuple[str, int]) -> None:
    assert net.split_listen_address(address) == expected


@pytest.mark.parametrize(
    "address", ["", "10059", "localhost", "::1:10059", ":port", ":65536", "host:-1", "host:"]
)
def test_invalid_listen_addresses_are_rejected(address: str) -> None:
    with pytest.raises(net.AddressError, match="expected host:port, :port or"):
        net.split_listen_address(address)

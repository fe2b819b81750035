"""What every test shares."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import hypothesis
import pytest

from docspace_exporter.demo import DemoPortal, sample_keys

hypothesis.settings.register_profile(
    "quick", max_examples=100, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile(
    "stress",
    max_examples=20_000,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("quick")

_FOREIGN = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "NETRC")


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Keep what the machine is configured with from the tests, and from the programs they start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper() in _FOREIGN or name.startswith("DOCSPACE_"):
                patch.delenv(name)
        yield


@pytest.fixture
def demo_portal() -> Iterator[DemoPortal]:
    """A running DocSpace portal with keys in every state; the last one is the exporter's own."""
    with DemoPortal(sample_keys(datetime.now(UTC))) as portal:
        yield portal

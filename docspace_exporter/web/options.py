"""Settings of the endpoints, from the `--web.…` flags."""

import msgspec


class WebOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the endpoints."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    enable_lifecycle: bool = False
    status_page: bool = True

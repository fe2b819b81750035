"""What the `--web.…` flags say about the endpoints."""

import msgspec


class WebOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the `--web.…` flags say of the endpoints."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    enable_lifecycle: bool = False
    status_page: bool = True

"""How much each benchmark does."""

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and times; times are seconds."""

    runs: int
    """Measurements of each figure, after one that does not count."""
    key_counts: tuple[int, ...]
    """Keys of a portal, smallest first."""
    cycle: float
    """Between polls, if single polls are measured."""
    busy_cycles: int
    """Polls to scrape during."""
    portals: int
    hanging_portals: int
    keys_a_portal: int
    spread: tuple[int, ...]
    """Numbers of portals that have the same keys, fewest first."""
    spread_keys: int
    scrape_interval: int
    """Between scrapes while rules are evaluated."""
    rules_interval: int
    """Between evaluations of the rules."""
    portals_interval: int
    portals_seconds: int


FULL = Plan(
    runs=11,
    key_counts=(100, 1_000, 10_000),
    cycle=4,
    busy_cycles=100,
    portals=500,
    hanging_portals=100,
    keys_a_portal=20,
    spread=(1, 100, 500, 2_000),
    spread_keys=10_000,
    scrape_interval=15,
    rules_interval=10,
    portals_interval=30,
    portals_seconds=300,
)

SMALL = Plan(
    runs=1,
    key_counts=(5, 50),
    cycle=0.5,
    busy_cycles=1,
    portals=5,
    hanging_portals=1,
    keys_a_portal=2,
    spread=(1, 3),
    spread_keys=6,
    scrape_interval=1,
    rules_interval=1,
    portals_interval=1,
    portals_seconds=1,
)

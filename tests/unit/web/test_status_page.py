"""The status page: what it says, in which order, and that nothing a member types breaks it."""

import math
from datetime import date
from html.parser import HTMLParser

import msgspec
import pytest
import requests

from docspace_exporter.config.exceptions import KeyException
from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.failures import PollError, Reason
from docspace_exporter.docspace.model import REMOVED_MEMBER, ApiKey, Identity, Snapshot
from docspace_exporter.poller import PortalState
from docspace_exporter.web import status_page
from tests.support.serving import ABOUT, GatedExposition, serving

DAY = 86_400.0
NOW = 1_800_000_000.0
PORTAL = Portal(name="acme", url="https://acme.example", api_key="sk-canary")


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docspace_exporter.web.status_page.time", lambda: NOW)


def key(name: str, days: float | None = None, **fields: object) -> ApiKey:
    expiry = math.inf if days is None else NOW + days * DAY
    return ApiKey(**{"id": name, "name": name, "expiry": expiry, "active": True, **fields})  # type: ignore[arg-type]


def state(*keys: ApiKey, own: str | None = None, portal: Portal = PORTAL, malformed: int = 0) -> PortalState:
    identity = Identity(b"digest", own, sees_every_key=True)
    return PortalState(portal, Snapshot(keys, malformed, NOW - 60, identity), polls=1)


class Page(HTMLParser):
    """The rows of the page as text, a list of cells each, and their classes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.classes: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attributes)
        if tag == "tr" and "class" in values:
            self.rows.append([])
            self.classes.append(values["class"] or "")
        if tag == "td":
            self.rows[-1].append("")
        if tag == "a":
            self.links.append(values["href"] or "")
        self._in_cell = self._in_cell or tag == "td"

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def names(page: Page) -> list[str]:
    return [row[0] for row in page.rows]


def render(*states: PortalState, wanted: str = "") -> Page:
    return Page(status_page.render(states, wanted, "/metrics", ABOUT))


def test_the_soonest_to_expire_comes_first_then_the_expired_then_the_rest() -> None:
    page = render(state(key("never"), key("in 9", 9), key("gone 5", -5), key("in 2", 2), key("gone 1", -1)))
    assert names(page) == ["in 2", "in 9", "gone 1", "gone 5", "never"]


def test_urgency_is_a_class_of_the_row() -> None:
    keys = [key("a", 2.9), key("b", 13.9), key("c", 15), key("d", 20, active=False), key("e", -1), key("f")]
    assert render(state(*keys)).classes == ["critical", "warning", "good", "off", "expired", "good"]
    assert render(state(key("unreadable", 2, active=None))).classes == ["critical"]


def test_times_are_shown_in_words_and_as_dates() -> None:
    known = key("a", 2, created=NOW - 40 * DAY, last_used=NOW - 7200)
    row = render(state(known, key("b"))).rows
    assert row[0][4:7] == ["40 days ago", "2 hours ago", "in 2 days 2027-01-17 08:00 UTC"]
    assert row[1][4:7] == ["", "never used", "never expires"]


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (0, "just now"),
        (1, "in under a minute"),
        (-59, "just now"),
        (60, "in 1 minute"),
        (-3599, "60 minutes ago"),
        (1.99 * DAY, "in 2 days"),
        (-DAY, "1 day ago"),
        (119 * DAY, "in 119 days"),
        (365 * DAY, "in 12 months"),
        (3650 * DAY, "in 10 years"),
    ],
)
def test_durations_are_described_in_words(distance: float, words: str) -> None:
    assert status_page.in_words(NOW + distance, NOW) == words


def test_each_key_links_to_the_page_where_it_is_rotated() -> None:
    assert render(state(key("a", 2))).links[-1] == "https://acme.example/developer-tools/api-keys"


def test_the_exporters_own_key_and_replaced_ones_are_marked() -> None:
    rows = render(state(key("a", 1), key("b", 2, replaced=True), key("c", 3, active=False), own="a")).rows
    assert [row[0] for row in rows] == ["a this exporter", "b replaced", "c disabled"]


def test_the_filter_finds_names_owners_postfixes_and_access() -> None:
    keys = [key("alpha", 1, owner="Ann"), key("beta", 2, postfix="9f3a"), key("gamma", 3, permissions=())]
    for wanted, found in (("ALPH", "alpha"), ("ann", "alpha"), ("9f3a", "beta"), ("full", "gamma")):
        assert names(render(state(*keys), wanted=wanted)) == [found]
    assert names(render(state(*keys), wanted="delta")) == []


def test_a_long_list_is_cut_and_says_so_but_is_filtered_whole() -> None:
    keys = [key(f"k{number:04}", number + 1) for number in range(status_page.ROW_LIMIT + 7)]
    html = status_page.render([state(*keys)], "", "/metrics", ABOUT)
    assert len(Page(html).rows) == status_page.ROW_LIMIT
    assert "7 more keys expire later" in html
    assert names(render(state(*keys), wanted=keys[-1].name)) == [keys[-1].name]


def test_a_key_whose_owner_is_gone_is_marked() -> None:
    keys = (
        key("one", owner_id="a"),
        key("two", owner_id="b"),
        key("three", owner_id=REMOVED_MEMBER),
        key("four"),
    )
    identity = Identity(b"digest", sees_every_key=True, disabled_members=frozenset({"b"}))
    known = PortalState(PORTAL, Snapshot(keys, 0, NOW, identity), polls=1)
    assert names(render(known)) == ["one", "two owner disabled", "three owner removed", "four"]


def test_a_key_with_unreadable_fields_is_marked() -> None:
    odd = key("odd", malformed=("expiresAt",))
    html = status_page.render([state(msgspec.structs.replace(odd, expiry=None))], "", "/metrics", ABOUT)
    assert 'title="unreadable: expiresAt">malformed' in html
    assert "never expires" not in html


def test_urgency_follows_the_thresholds_of_the_portal_and_the_lifetime_of_the_key() -> None:
    portal = msgspec.structs.replace(PORTAL, expiry_warning=30 * DAY, expiry_critical=20 * DAY)
    keys = [
        key("a", 19),
        key("b", 29),
        key("c", 31),
        key("d", 5, created=NOW - DAY),
        key("e", 2, created=NOW),
    ]
    assert render(state(*keys, portal=portal)).classes == ["good", "good", "critical", "warning", "good"]


CRM = KeyException(
    name="CRM*", allow=("expiry", "full_access"), reason="kiosk, OPS-12", until=date(2027, 3, 1)
)


def excepting(*exceptions: KeyException) -> Portal:
    return msgspec.structs.replace(PORTAL, exceptions=exceptions)


def test_an_excepted_key_is_not_urgent_and_shows_what_is_excepted_until_when_and_why() -> None:
    page = render(state(key("CRM sync", 2), key("other", 2.5), portal=excepting(CRM)))
    assert names(page) == ["CRM sync excepted: expiry, full access until 2027-03-01 (kiosk, OPS-12)", "other"]
    assert page.classes == ["good", "critical"]


def test_an_exception_for_something_else_does_not_make_a_key_less_urgent() -> None:
    unused = KeyException(name="CRM*", allow=("unused",), reason="OPS-12")
    assert render(state(key("CRM sync", 2), portal=excepting(unused))).classes == ["critical"]


def test_an_exception_without_effect_is_shown() -> None:
    ended = msgspec.structs.replace(CRM, until=date(2026, 3, 1))
    html = status_page.render([state(key("CRM"), portal=excepting(ended))], "", "/metrics", ABOUT)
    assert "The exception for <bdi>name: CRM*</bdi> ended on 2026-03-01: remove it" in html
    html = status_page.render([state(key("other"), portal=excepting(CRM))], "", "/metrics", ABOUT)
    assert "The exception for <bdi>name: CRM*</bdi> matches no key: correct or remove it" in html


def test_the_last_failure_is_described_in_words() -> None:
    failure = PollError(Reason.UNAUTHORIZED, "status 401, the portal refused the key")
    down = PortalState(PORTAL, state(key("a", 1)).snapshot, failure, polls=2)
    html = status_page.render([down], "", "/metrics", ABOUT)
    assert "<strong>unauthorized</strong>: status 401, the portal refused the key" in html
    assert names(Page(html)) == ["a"]


def test_a_portal_that_was_not_polled_yet_is_told_apart_from_one_that_is_down() -> None:
    html = status_page.render([PortalState(PORTAL)], "", "/metrics", ABOUT)
    assert "not polled yet" in html
    assert ">down<" not in html


def test_data_that_cannot_be_trusted_is_pointed_out() -> None:
    known = state(key("a"), malformed=3)
    assert known.snapshot is not None
    alone = PortalState(PORTAL, Snapshot((), 3, NOW, Identity(b"", None, sees_every_key=False)), polls=1)
    html = status_page.render([alone], "", "/metrics", ABOUT)
    assert "3 malformed records" in html
    assert "sees only its own user" in html


def test_owners_are_left_out_if_so_configured() -> None:
    silent = Portal(name="acme", url="https://acme.example", api_key="sk-x", export_owner=False)
    known = state(key("a", 1, owner="Ann"), portal=silent)
    assert "Ann" not in status_page.render([known], "", "/metrics", ABOUT)
    assert names(render(known, wanted="Ann")) == []


def test_markup_in_a_name_an_owner_or_the_filter_stays_text() -> None:
    evil = "<script>alert(1)</script>\"'&\u202e"
    page = render(state(key(evil, 1, owner=evil)), wanted="script")
    plain = render(state(key("a script", 1, owner="b")), wanted="script")
    assert page.tags == plain.tags
    assert page.rows[0][0] == evil
    assert render(state(), wanted=evil).tags.count("script") == 1


def test_the_secret_is_not_on_the_page() -> None:
    assert "sk-canary" not in status_page.render([state(key("a", 1))], "", "/metrics", ABOUT)


def test_a_date_beyond_the_calendar_is_described_in_words_only() -> None:
    far = key("far", 0)
    far = ApiKey(id="far", name="far", expiry=1e15, active=far.active)
    assert render(state(far)).rows[0][6].startswith("in 3")


def test_the_page_allows_nothing_but_its_own_files() -> None:
    with serving(GatedExposition()) as (host, port):
        response = requests.get(f"http://{host}:{port}/?filter=%3Cscript%3E", timeout=10)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "style=" not in response.text
        assert "<script>" not in response.text
        for file, kind in (("status.css", "text/css"), ("status.js", "text/javascript")):
            served = requests.get(f"http://{host}:{port}/-/static/{file}", timeout=10)
            assert served.status_code == 200
            assert served.headers["Content-Type"].startswith(kind)


def test_the_version_and_revision_are_shown() -> None:
    html = status_page.render([state(key("a", 1))], "", "/metrics", ABOUT)
    assert f"docspace-exporter {ABOUT.version}, revision {ABOUT.revision}</footer>" in html


def test_its_own_links_are_relative() -> None:
    html = status_page.render([state(key("a", 1))], "", "/metrics", ABOUT)
    assert Page(html).links[0] == "./metrics"
    assert not [link for link in Page(html).links if link.startswith("/")]
    for path in status_page.STATIC_FILES:
        assert f'="{path.removeprefix("/")}"' in html

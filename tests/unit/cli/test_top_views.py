"""The views of `meshproxy top`, out of what the live channel really says, and the keys that choose them."""

from __future__ import annotations

import json

import msgspec
import pytest

from meshproxy.admin.live.feed import Feed
from meshproxy.cli.top_keys import PAGE, Wishes, typed
from meshproxy.cli.top_problems import problems
from meshproxy.cli.top_rows import Order, Sections
from meshproxy.cli.top_views import Chosen, Name, View, filtered, view_of
from meshproxy.identity.expiry import CertificateState
from meshproxy.snapshot.messages import CallerStats
from meshproxy.telemetry.caller_totals import CallerKey
from meshproxy.telemetry.request_totals import RuleKey
from tests.support.access import make_record
from tests.support.view import CLUSTER, FakeView, make_counts, make_identity_status

CHOSEN = Chosen(Order.NAME, endpoints=False, namespace=None, now=3600.0)
WISHES = Wishes(Name.SERVICES, Order.NAME, endpoints=False)


class Moving(FakeView):
    """A second passes, and requests come, between any two looks."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.identity_status = make_identity_status()
        self.recent.add([make_record(cluster=CLUSTER, status=503, flags="UF", target="/cart?secret=1")])
        self.recent.add([make_record(cluster="team/other:80", target="/fine")])

    def now(self) -> float:
        return 100.0 + self.looks

    def rule_requests(self) -> dict[RuleKey, object]:  # type: ignore[override]
        self.looks += 1
        return {RuleKey(CLUSTER, "default/shop/cart", "backend:80"): make_counts(ok=9 * self.looks, failed=self.looks)}

    def callers(self) -> dict[CallerKey, CallerStats]:
        counts = make_counts(ok=9 * self.looks, failed=self.looks)
        web = CallerStats("spiffe://mesh.local/ns/shop/sa/web", "default/backend", CLUSTER, requests=counts)
        here = CallerStats("127.0.0.1", "default/backend", CLUSTER, active=2, failures=self.looks)
        return {CallerKey(each.caller, each.service, each.cluster): each for each in (web, here)}


def sections_of(view: FakeView) -> Sections:
    feed = Feed(view)
    feed.changes()
    feed.changes()
    found: Sections = {}
    for event in feed.everything().decode().strip().split("\n\n"):
        name, data = event.split("\n")
        found[name.removeprefix("event: ")] = json.loads(data.removeprefix("data: "))
    return found


def view(name: Name, of: FakeView | None = None, **chosen: object) -> View:
    return view_of(name, sections_of(of or Moving()), CHOSEN._replace(**chosen))  # type: ignore[arg-type]


def texts(made: View) -> list[str]:
    return [" ".join(line.cells) for line in made.lines]


@pytest.mark.parametrize("name", Name)
def test_every_line_has_every_column(name: Name) -> None:
    made = view(name, callers=True, endpoints=True)
    assert made.lines
    assert {len(line.cells) for line in made.lines} == {len(made.heads)}
    assert made.wide < len(made.heads)


def test_who_calls_whom() -> None:
    made = view(Name.OVERVIEW)
    (first, *others) = made.lines
    assert first.cells[:4] == ("shop/web", "default/backend", "10.0", "90%")
    assert first.cells[-1] == "mTLS"
    assert first.bad
    assert [line.cells[:3] for line in others] == [
        ("this machine", "default/backend", "0.0"),
        ("Gateway/team/edge", "default/backend", "0.0"),
    ]
    assert others[0].cells[6:] == ("2", "0.0", "1.0", "0 B", "-")
    assert others[0].bad
    assert "default/backend: many requests fail" in made.notes


def test_how_requests_are_split() -> None:
    made = view(Name.ROUTES)
    lines = {line.cells[0]: line for line in made.lines}
    assert lines["default/shop/cart"].cells[2] == "10.0"
    assert lines["  backend:80"].minor
    assert next(line.cells[3:5] for line in made.lines if line.cells[0] == "  backend:80") == ("75%", "100%")
    assert lines["  gone:80"].bad
    assert lines["  gone:80"].cells[5] == "there is no Service gone"


def test_requests_are_there_the_newest_first_and_can_be_filtered() -> None:
    made = view(Name.REQUESTS)
    assert [line.cells[1] for line in made.lines] == ["200", "503 UF"]
    assert [line.bad for line in made.lines] == [False, True]
    assert "secret" not in str(made)
    assert len(filtered(made, "503 CART").lines) == 1
    assert len(view(Name.REQUESTS, namespace="team").lines) == 1


def test_a_refused_configuration() -> None:
    refused = Moving()
    refused.rejection = "m.yaml:3: spec.port: must be a port\nand more"
    made = view(Name.CONFIGURATION, refused)
    assert made.notes[0] == "abc123, for 7s: ACK by all workers"
    assert made.notes[-3:] == ("NACK, 1s ago:", "m.yaml:3: spec.port: must be a port", "and more")
    assert texts(made)[0] == "m.yaml:3 warning Service/x odd"
    assert "gone (x2)" in texts(made)[1]


def test_certificates_and_sources() -> None:
    assert texts(view(Name.CERTIFICATES)) == [
        "spiffe://mesh.local/ns/default/sa/web Identity Valid in 60m CN=mesh CA 1f"
    ]
    assert [line.cells[1] for line in view(Name.SOURCES).lines] == ["source", "registration", "telemetry"]


def test_what_is_wrong_is_said_and_what_is_not_is_not() -> None:
    troubled = Moving()
    troubled.reason, troubled.rejection, troubled.problems = "draining", "refused", {"l": "in use"}
    certificate = msgspec.structs.replace(
        make_identity_status().certificates[0], state=CertificateState.EXPIRED, name="c"
    )
    troubled.identity_status = msgspec.structs.replace(make_identity_status("CA away"), certificates=(certificate,))
    assert list(problems(sections_of(troubled))) == [
        "not ready: draining",
        "a configuration was refused; the last good one is in force",
        "l: in use",
        "identity: CA away",
        "certificate c has expired",
        "default/backend: 1 of 3 endpoints ready",
        "default/backend: many requests fail",
    ]


def test_a_service_without_endpoints_is_wrong_but_not_a_name_elsewhere() -> None:
    sections = sections_of(Moving())
    for each in sections["mesh"]["services"]:
        each["clusters"] = []
    assert "default/backend has no endpoints" in list(problems(sections))
    assert "team/other has no endpoints" not in list(problems(sections))


def test_a_terminal_obeys_nothing_that_others_wrote() -> None:
    hostile = Moving()
    hostile.recent.add([make_record(target="/\x1b]0;owned\x07", status=404)])
    hostile.rejection = "\x1b[2J"
    for name in Name:
        made = view(name, hostile)
        assert "\x1b" not in "".join((*texts(made), *made.notes)), name


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("4", WISHES._replace(view=Name.REQUESTS)),
        ("9", WISHES),
        ("r", WISHES._replace(order=Order.RATE)),
        ("d", WISHES._replace(endpoints=True)),
        ("c", WISHES._replace(callers=True)),
        ("jj\x1b[B\x1b[A", WISHES._replace(first=2)),
        ("k\x1b[5~", WISHES),
        (" j", WISHES._replace(first=PAGE + 1)),
        ("/q1", WISHES._replace(filter="q1", typing=True)),
        ("/ab\x7f\rj", WISHES._replace(filter="a", first=1)),
        ("/ab\x1b", WISHES),
        ("/ab\r\x1b", WISHES),
        ("jq", None),
    ],
)
def test_keys(keys: str, expected: Wishes | None) -> None:
    assert typed(WISHES, keys) == expected


def test_scrolling_ends_with_the_last_line() -> None:
    assert WISHES._replace(first=50).within(7).first == 7
    assert WISHES._replace(first=50).within(-3).first == 0


def test_a_filter_is_seen() -> None:
    assert [WISHES._replace(filter=each, typing=typing).prompt for each, typing in (("", False), ("a", True))] == [
        "", "/a_",
    ]  # fmt: skip

"""What `meshproxy top` shows: the dashboard's views, as tables out of the sections of the live channel."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from meshproxy.cli.tables import format_age, format_bytes, format_latency, format_share
from meshproxy.cli.top_problems import problems
from meshproxy.cli.top_rows import HEADS, Order, Sections, calls, groups, ordered

_NONE = "-"


class Name(enum.StrEnum):
    """The views, in the dashboard's order: number 1 is the first."""

    OVERVIEW = "overview"
    SERVICES = "services"
    ROUTES = "routes"
    REQUESTS = "requests"
    CONFIGURATION = "configuration"
    CERTIFICATES = "certificates"
    SOURCES = "sources"


class Line(NamedTuple):
    """A row; `bad` ones are for somebody to look at, `minor` ones belong to the one above."""

    cells: tuple[str, ...]
    bad: bool = False
    minor: bool = False


class Chosen(NamedTuple):
    """What a user wants to see. `now` is Unix time."""

    order: Order
    endpoints: bool
    namespace: str | None
    now: float
    callers: bool = False


class View(NamedTuple):
    """`notes` are lines above the table. Of columns the `wide` one takes the room that there is."""

    heads: tuple[str, ...]
    lines: list[Line]
    notes: tuple[str, ...] = ()
    wide: int = 0


def view_of(name: Name, sections: Sections, chosen: Chosen) -> View:
    """What `name` is now. Whatever a terminal would obey in it is escaped."""
    made = _VIEWS[name](sections, chosen)
    lines = [line._replace(cells=tuple(map(_printable, line.cells))) for line in made.lines]
    return made._replace(lines=lines, notes=tuple(map(_printable, made.notes)))


def filtered(view: View, words: str) -> View:
    """The lines that have each of `words`."""
    wanted = words.lower().split()
    lines = [each for each in view.lines if all(word in " ".join(each.cells).lower() for word in wanted)]
    return view._replace(lines=lines)


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")


# -- what happens ------------------------------------------------------------------------


def _overview(sections: Sections, chosen: Chosen) -> View:
    """Who calls whom; what is wrong above it."""
    secure = {each["id"]: each["secure"] for each in sections["mesh"]["services"]}
    lines = []
    for call in calls(sections):
        if chosen.namespace in (None, call.target.partition("/")[0]):
            tls = call.secure or secure.get(call.target) or _NONE
            cells = (call.name, call.target, *_of_requests(call.requests), *_of_connections(call.connections), tls)
            lines.append(Line(cells, bad=call.is_bad))
    lines.sort(key=lambda line: (-float(line.cells[2]), -int(line.cells[6])))
    found = tuple(problems(sections)) or ("All is well.",)
    heads = ("FROM", "TO", "REQ/S", "SUCCESS", "P50", "P99", "OPEN", "NEW/S", "FAIL/S", "BYTES/S", "TLS")
    return View(heads, lines, found, wide=1)


def _of_requests(requests: Sequence[Any] | None) -> tuple[str, str, str, str]:
    if requests is None:
        return "0.0", _NONE, _NONE, _NONE
    rate, success, p50, p99 = requests
    return f"{rate:.1f}", format_share(success), format_latency(p50), format_latency(p99)


def _of_connections(connections: Sequence[Any] | None) -> tuple[str, str, str, str]:
    active, opened, failed, sent, received = connections or (0, 0.0, 0.0, 0.0, 0.0)
    return str(active), f"{opened:.1f}", f"{failed:.1f}", format_bytes(sent + received)


def _services(sections: Sections, chosen: Chosen) -> View:
    found = groups(sections, chosen.namespace)
    rows = ordered(found, chosen.order, with_callers=chosen.callers, with_endpoints=chosen.endpoints)
    return View(HEADS, [Line(row.cells(), row.is_bad, row.name.startswith("  ")) for row in rows])


def _routes(sections: Sections, chosen: Chosen) -> View:
    """A line for each rule, and one for each of its backends: the share that it is to have, and the one that it has."""
    lines = []
    for index, row in enumerate(sections["routes"]):
        if chosen.namespace in (None, row["namespace"]):
            shares = sections["rates"]["routes"].get(str(index)) or [[0.0, 0]] * (len(row["backends"]) + 1)
            rate = sum(each[0] for each in shares)
            matches = "; ".join((*row["matches"], *row["filters"]))
            lines.append(Line((row["rule"], row["parent"], f"{rate:.1f}", "", "", matches)))
            lines += _backends(row["backends"], shares[1:], rate)
    return View(("RULE", "AT", "REQ/S", "WEIGHT", "NOW", "MATCHES"), lines, wide=5)


def _backends(backends: Sequence[Any], shares: Sequence[Any], rate: float) -> Iterator[Line]:
    for backend, (own, total) in zip(backends, shares, strict=True):
        now = format_share(own / rate) if rate else _NONE
        what = backend["problem"] or f"{total} in all"
        cells = (f"  {backend['backend']}", "", f"{own:.1f}", format_share(backend["share"]), now, what)
        yield Line(cells, bad=bool(backend["problem"]), minor=True)


def _requests(sections: Sections, chosen: Chosen) -> View:
    """The newest first."""
    lines = []
    for each in reversed(sections["requests"]):
        service = each["cluster"].rpartition(":")[0]
        if chosen.namespace in (None, service.partition("/")[0]):
            status = f"{each['status'] or 'none'} {each['flags']}".strip()
            what = f"{each['method'] or '?'} {each['path'] or each['detail']} {each['host']}"
            took = format_latency(each["seconds"])
            cells = (_clock(each["started"]), status, what, took, service or _NONE, each["endpoint"] or _NONE)
            lines.append(Line((*cells, each["client"]), bad=each["bad"]))
    return View(("TIME", "STATUS", "REQUEST", "TOOK", "SERVICE", "ENDPOINT", "CLIENT"), lines, wide=2)


# -- how it is set up --------------------------------------------------------------------


def _configuration(sections: Sections, chosen: Chosen) -> View:
    """What is wrong with what was written, then what happened; above it what is in force, and where."""
    status = sections["status"]
    config = status["config"]
    acknowledged = "ACK by all workers" if config["version"] == config["lastGood"] else "on its way to the workers"
    notes = [f"{config['version'] or 'none'}, for {format_age(config['age'])}: {acknowledged}"]
    for worker in status["workers"]:
        answer = "ACK" if worker["version"] == config["version"] else "waiting"
        notes.append(f"worker {worker['id']}: {worker['state']}, {answer}, up {format_age(worker['uptime'])}")
    if config["rejection"]:
        notes += [f"NACK, {format_age(config['rejectionAge'])} ago:", *config["rejection"].splitlines()]
    lines = [_diagnostic(each) for each in sections["diagnostics"]]
    for each in reversed(sections["events"]):
        event = each["event"]
        what = event["message"] if each["count"] == 1 else f"{event['message']} (x{each['count']})"
        cells = (_clock(each["last"]), event["reason"], event["subject"], what)
        lines.append(Line(cells, bad=event["type"] == "Warning"))
    return View(("WHERE", "WHAT", "OF", "MESSAGE"), lines, tuple(notes), wide=3)


def _diagnostic(found: Mapping[str, Any]) -> Line:
    severity = found.get("severity", "error")
    file, line = found.get("file") or "", found.get("line")
    place = f"{file}:{line}" if file and line else file or _NONE
    of = " ".join(filter(None, (found.get("resource"), found.get("field"))))
    return Line((place, severity, of or _NONE, found["message"]), bad=severity != "warning")


def _certificates(sections: Sections, chosen: Chosen) -> View:
    lines = []
    for each in sorted(sections["certificates"], key=lambda row: row["notAfter"]):
        left = each["notAfter"] - chosen.now
        expires = f"in {format_age(left)}" if left > 0 else f"{format_age(-left)} ago"
        cells = (each["name"], each["kind"], each["state"], expires, each["issuer"], each["serial"][:16])
        lines.append(Line(cells, bad=each["state"] != "Valid"))
    return View(("CERTIFICATE", "KIND", "STATE", "EXPIRES", "ISSUER", "SERIAL"), lines)


def _sources(sections: Sections, chosen: Chosen) -> View:
    """Where the configuration comes from, what is made known elsewhere, and where telemetry goes."""
    status, lines = sections["status"], []
    for each in status["sources"]:
        changed = f"changed {format_age(each['age'])} ago" if each["age"] is not None else "never changed"
        what = each["problem"] or f"{each['resources']} resources, {changed}"
        lines.append(Line((each["name"], "source", each["state"], what), bad=bool(each["problem"])))
    for each in status["registrations"]:
        state, what = "registered" if each["registered"] else "not registered", each["problem"] or each["address"]
        lines.append(Line((each["id"], "registration", state, what), bad=bool(each["problem"])))
    for each in status["exports"]:
        counts = f"{each['sent']} sent, {each['waiting']} waiting, {each['dropped']} dropped"
        cells = (each["signal"], "telemetry", counts, each["problem"] or each["endpoint"])
        lines.append(Line(cells, bad=bool(each["problem"])))
    log = status["accessLog"]
    if log["path"]:
        cells = (log["path"], "access log", f"{log['lines']} lines, {log['dropped']} dropped", log["problem"] or _NONE)
        lines.append(Line(cells, bad=bool(log["problem"])))
    return View(("NAME", "KIND", "STATE", "MORE"), lines, wide=3)


_VIEWS: Mapping[Name, Callable[[Sections, Chosen], View]] = {
    Name.OVERVIEW: _overview,
    Name.SERVICES: _services,
    Name.ROUTES: _routes,
    Name.REQUESTS: _requests,
    Name.CONFIGURATION: _configuration,
    Name.CERTIFICATES: _certificates,
    Name.SOURCES: _sources,
}

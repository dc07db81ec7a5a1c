"""What becomes of a request that takes a rule, in words."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.cli.tables import format_table
from meshproxy.dataplane.http.redirects import location, rewritten_target
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.routing.explain import Explanation, Outcome, describe_match
from meshproxy.snapshot.routes import Filters, HeaderMutation, Mirror, RetryCondition, Rule
from meshproxy.snapshot.value import Value

LABEL_WIDTH = 12
_RESULTS = {Outcome.WINS: "wins", Outcome.LOSES: "loses", Outcome.NO_MATCH: "no match"}
_MAX_REASONS = 4


class Share(Value, frozen=True, kw_only=True):
    """A backend's part of the requests, in percent."""

    backend: str
    percent: float
    problem: str = ""


class Answer(Value, frozen=True, kw_only=True):
    """`status` is what the proxy answers itself, and `why`; None where a backend answers.

    `target` and `host` are what a backend is asked for, where that is another than the client asked for.
    """

    matches: bool = False
    status: int | None = None
    why: str = ""
    location: str = ""
    target: str = ""
    host: str = ""
    backends: tuple[Share, ...] = ()


def answer(explanation: Explanation, head: RequestHead, port: int) -> Answer:
    """What comes of a request at a listener's `port`."""
    rule = explanation.winner
    if rule is None:
        why = "no rule matches" if explanation.virtual_host else f"nothing is for the host {head.host.decode()}"
        return Answer(status=404, why=why)
    match = explanation.verdicts[0].match
    prefix = match.path.encode() if match is not None else b"/"
    redirect = rule.filters.redirect
    if redirect is not None:
        where = location(redirect, head, prefix, ("http", port)).decode("latin-1")
        return Answer(matches=True, status=redirect.status, why="the rule redirects", location=where)
    shares = _shares(rule)
    if all(each.problem for each in shares):
        why = "none of its backends can be used" if shares else "the rule has no backend with a weight"
        return Answer(matches=True, status=500, why=why, backends=shares)
    rewrite = rule.filters.rewrite
    target = rewritten_target(rewrite.path, head, prefix).decode("latin-1") if rewrite and rewrite.path else ""
    return Answer(matches=True, target=target, host=(rewrite and rewrite.hostname) or "", backends=shares)


def _shares(rule: Rule) -> tuple[Share, ...]:
    weighted = [each for each in rule.backends if each.weight]
    total = sum(each.weight for each in weighted)
    return tuple(
        Share(
            backend=each.name,
            percent=round(100 * each.weight / total, 2),
            problem="" if each.cluster else each.problem or "there is no such backend",
        )
        for each in weighted
    )


# -- text --------------------------------------------------------------------------------


def as_text(request: str, where: str, explanation: Explanation | None, result: Answer) -> str:
    """Everything, the winner first, then a table of all rules."""
    lines = [request, _label("at", _place(where, explanation))]
    if result.status is not None:
        lines.append(_label("answer", f"{result.status}: {result.why}"))
    elif result.why:
        lines.append(_label("routes", result.why))
    if explanation is None:
        return "\n".join(lines)
    if explanation.winner is not None:
        lines += _rule_lines(explanation, explanation.winner, result)
    rows = [(each.rule, _RESULTS[each.outcome], _reasons(each.reasons)) for each in explanation.verdicts]
    if rows:
        lines += ["", format_table(("RULE", "RESULT", "WHY"), rows)]
    return "\n".join(lines)


def _place(where: str, explanation: Explanation | None) -> str:
    host = explanation.virtual_host if explanation is not None else None
    return f"{where}, {host.name} ({host.hostname})" if host is not None and host.hostname else where


def _label(label: str, value: str) -> str:
    return f"  {label and label + ':':<{LABEL_WIDTH}}{value}"


def _reasons(reasons: tuple[str, ...]) -> str:
    more = len(reasons) - _MAX_REASONS
    listed = "; ".join(reasons[:_MAX_REASONS])
    return f"{listed}; and {more} more" if more > 0 else listed


def _rule_lines(explanation: Explanation, rule: Rule, result: Answer) -> Iterator[str]:
    verdict = explanation.verdicts[0]
    yield _label("rule", f"{rule.name} of {rule.route}")
    if verdict.match is not None:
        host = f"host {verdict.hostname}, " if verdict.hostname else ""
        yield _label("matches", host + describe_match(verdict.match))
    if result.location:
        yield _label("location", result.location)
    if result.target or result.host:
        host = f" for host {result.host}" if result.host else ""
        yield _label("asks for", (result.target or "the same") + host)
    for number, share in enumerate(result.backends):
        problem = f", answers 500: {share.problem}" if share.problem else ""
        yield _label("" if number else "backends", f"{share.percent:g}% {share.backend}{problem}")
    yield from _filter_lines(rule.filters, "")
    for backend in rule.backends:
        yield from _filter_lines(backend.filters, f" (for {backend.name})")
    yield from _policy_lines(rule)


def _filter_lines(filters: Filters, suffix: str) -> Iterator[str]:
    if filters.request_headers is not None:
        yield _label("request", _mutation(filters.request_headers) + suffix)
    if filters.response_headers is not None:
        yield _label("response", _mutation(filters.response_headers) + suffix)
    if filters.cors is not None:
        yield _label("CORS", f"{', '.join(filters.cors.allow_origins) or 'no origins'}{suffix}")
    for mirror in filters.mirrors:
        yield _label("mirrors", _mirror(mirror) + suffix)
    if suffix and filters.redirect is not None:
        yield _label("redirects", f"{filters.redirect.status}{suffix}")
    if suffix and filters.rewrite is not None:
        yield _label("rewrites", f"the request{suffix}")


def _mirror(mirror: Mirror) -> str:
    return f"{100 * mirror.numerator / mirror.denominator:g}% to {mirror.cluster or 'a backend that does not exist'}"


def _mutation(mutation: HeaderMutation) -> str:
    parts = [f"set {name}: {value}" for name, value in mutation.set]
    parts += [f"add {name}: {value}" for name, value in mutation.add]
    parts += [f"remove {name}" for name in mutation.remove]
    return ", ".join(parts)


def _policy_lines(rule: Rule) -> Iterator[str]:
    timeouts = (("request", rule.request_timeout), ("each try", rule.backend_timeout))
    words = [f"{what} {seconds:g}s" if seconds else f"{what} none" for what, seconds in timeouts if seconds is not None]
    if words:
        yield _label("timeouts", ", ".join(words))
    retry = rule.retry
    if retry is not None and retry.attempts:
        causes = [each.value for each in retry.conditions if each is not RetryCondition.STATUS]
        causes += [str(each) for each in retry.statuses]
        yield _label("retries", f"{retry.attempts} after {', '.join(causes)}")
    session = rule.session_persistence
    if session is not None:
        yield _label("session", f"{session.kind.value} {session.name}")

"""`meshproxy demo`: a Service with three endpoints, to look at, to play with, or to check."""

from __future__ import annotations

import http.client
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.demo_stage import NAMES, Stage
from meshproxy.cli.tables import format_table

REQUESTS = 300
"""Requests of `--check` in each of its two rounds, each on a connection of its own."""
KEEP_ALIVE_REQUESTS = 100
TOLERANCE = 0.02
"""How far a share may be from what is right; round robin is exact but for health checks' own connections."""
VICTIM = NAMES[0]
GUIDE_REFRESH = 0.5


@click.command()
@click.option("--check", is_flag=True, help="Send traffic, kill an endpoint, show the shares.")
def command(check: bool) -> None:
    """Show a Service with three endpoints at work.

    Starts three small HTTP servers and a proxy before them, prints what to try, and runs until
    it is interrupted. Nothing is left behind.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be killed is to be interrupted: it cleans up
    with tempfile.TemporaryDirectory(prefix="meshproxy-demo-") as directory, Stage(Path(directory)) as stage:
        if check:
            sys.exit(0 if _check(stage) else 1)
        _show(stage)


# -- to play with ------------------------------------------------------------------------


def _show(stage: Stage) -> None:
    _print_guide(stage)
    stop = threading.Event()
    counts: Counter[str] = Counter()
    traffic = threading.Thread(target=_send_until, args=(stop, stage.service, counts), daemon=True)
    traffic.start()
    try:
        _print_live(stage, counts) if sys.stdout.isatty() else threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("\nstopping")
    finally:
        stop.set()
        traffic.join()


def _print_guide(stage: Stage) -> None:
    usual = stage.admin.port == 15000
    option = "" if usual else f" --admin {stage.admin}"
    click.echo(f"Service backend is at http://{stage.service}/ with three endpoints:\n")
    rows = [(name, stage.address_of(name), stage.pid_of(name)) for name in NAMES]
    click.echo(format_table(("NAME", "ADDRESS", "PID"), rows))
    click.echo(
        f"""
Try, in another terminal:

  curl http://{stage.service}/
  meshproxy get services{option}
  meshproxy get endpoints{option} -o wide
  kill -9 {stage.pid_of(VICTIM)}; curl http://{stage.service}/
  meshproxy describe service backend{option}
  meshproxy status{option}
  meshproxy top{option}
  curl http://{stage.admin}/metrics

The manifests are in {stage.manifest}: change them, and the proxy follows.
A few requests a second are sent meanwhile. Ctrl-C ends the demo.

The live dashboard is at http://{stage.admin}/
"""
    )


def _send_until(stop: threading.Event, service: SocketAddress, counts: Counter[str]) -> None:
    while not stop.wait(0.1):
        counts[_request(service)] += 1


def _print_live(stage: Stage, counts: Counter[str]) -> None:
    from rich.live import Live
    from rich.table import Table

    def render() -> Table:
        statuses = stage.statuses()
        table = Table("ENDPOINT", "STATUS", "REQUESTS", "SHARE", "")
        total = sum(counts.values()) or 1
        for name in (*NAMES, "failed"):
            share = counts[name] / total
            table.add_row(name, statuses.get(name, ""), str(counts[name]), f"{share:.0%}", "█" * round(30 * share))
        return table

    with Live(render(), auto_refresh=False) as live:
        while True:
            threading.Event().wait(GUIDE_REFRESH)
            live.update(render(), refresh=True)


# -- to check ----------------------------------------------------------------------------


def _check(stage: Stage) -> bool:
    """Three rounds: all endpoints up; one killed meanwhile; one known to be dead. No request may fail."""
    service = stage.service
    before = _send(service, REQUESTS)
    keep_alive = _send_on_one_connection(service, KEEP_ALIVE_REQUESTS)
    during = _send(service, REQUESTS, at_half=lambda: stage.kill_server(VICTIM))
    stage.wait_for_status(VICTIM, "Unhealthy")
    after = _send(service, REQUESTS)
    click.echo(f"Service backend at {service}, round robin; {VICTIM} is killed (SIGKILL) in the second round,")
    click.echo("when no request is in it: what a killed process has taken, no proxy can bring back.\n")
    rows = [
        (name, *(f"{counts[name]} ({counts[name] / REQUESTS:.0%})" for counts in (before, during, after)))
        for name in (*NAMES, "failed")
    ]
    click.echo(format_table(("ENDPOINT", "BEFORE", "WHILE IT IS KILLED", "AFTER"), rows))
    shares = ", ".join(f"{name} {keep_alive[name]}" for name in NAMES)
    click.echo(f"\nKeep-alive: {sum(keep_alive.values())} requests on one connection, each balanced: {shares}")
    problems = [
        *_wrong_shares("before", before, NAMES),
        *_wrong_shares("on one connection", keep_alive, NAMES),
        *_wrong_shares("after", after, [name for name in NAMES if name != VICTIM]),
        *(f"{counts['failed']} requests failed {when}" for when, counts in _rounds(before, keep_alive, during, after)),
    ]
    for problem in problems:
        click.echo(f"WRONG: {problem}", err=True)
    click.echo("\nno request failed, and the shares are right" if not problems else "\nthe check failed")
    return not problems


def _rounds(*counts: Counter[str]) -> list[tuple[str, Counter[str]]]:
    names = ("before", "on one connection", "while an endpoint was killed", "after")
    return [(name, each) for name, each in zip(names, counts, strict=True) if each["failed"]]


def _wrong_shares(when: str, counts: Counter[str], expected: list[str] | tuple[str, ...]) -> list[str]:
    right = 1 / len(expected)
    wrong = []
    for name in NAMES:
        share, wanted = counts[name] / counts.total(), right if name in expected else 0.0
        if abs(share - wanted) > (TOLERANCE if wanted else 0):
            wrong.append(f"{name} got {share:.1%} of the requests {when}; {wanted:.1%} is right")
    return wrong


def _send(service: SocketAddress, requests: int, at_half: Callable[[], None] = lambda: None) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number in range(requests):
        if number == requests // 2:
            at_half()
        counts[_request(service)] += 1
    return counts


def _send_on_one_connection(service: SocketAddress, requests: int) -> Counter[str]:
    connection = http.client.HTTPConnection(service.host, service.port, timeout=5)
    try:
        return Counter(_ask(connection) for _ in range(requests))
    finally:
        connection.close()


def _request(service: SocketAddress) -> str:
    """Who answered a request on a connection of its own; ``failed`` where nobody did."""
    connection = http.client.HTTPConnection(service.host, service.port, timeout=5)
    try:
        return _ask(connection)
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection) -> str:
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        name = response.read().decode().strip()
    except (OSError, http.client.HTTPException):
        return "failed"
    return name if response.status == 200 and name in NAMES else "failed"

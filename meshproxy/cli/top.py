"""`meshproxy top`."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient, NoProxy
from meshproxy.cli.parameters import admin_option, token_option
from meshproxy.cli.tables import format_age, format_latency, format_share, format_table
from meshproxy.cli.top_rows import HEADS, Order, Sections, groups, ordered

if TYPE_CHECKING:
    from rich.console import Group as RenderedGroup

ENOUGH = 2.0
"""Seconds that the rates of `--once` are taken over at least: workers report once a second."""
RETRY = 1.0
"""Seconds between tries to reach a proxy that is gone."""
FRAME = 6
"""Lines of a screen around the rows."""
GLANCE = 0.1
"""Seconds that a key is waited for."""
KEYS = {
    "n": Order.NAME,
    "e": Order.READY,
    "r": Order.RATE,
    "s": Order.SUCCESS,
    "p": Order.P99,
    "o": Order.OPEN,
    "b": Order.BYTES,
}
LEGEND = "sort by  n name  e ready  r req/s  s success  p p99  o open  b bytes    d details of endpoints    q quit"


@click.command()
@click.option("--once", is_flag=True, help="Print one table, for scripts, and end.")
@click.option(
    "--sort",
    type=click.Choice([order.value for order in Order]),
    default=Order.NAME.value,
    show_default=True,
    help="What Services are sorted by.",
)
@click.option("--endpoints", is_flag=True, help="Show the endpoints of each Service, too.")
@click.option("-n", "--namespace", help="Only Services of this namespace.")
@admin_option
@token_option
def command(
    once: bool, sort: str, endpoints: bool, namespace: str | None, admin: SocketAddress, token_file: str | None
) -> None:
    """Show live what Services do: requests a second, success, latencies, connections.

    The dashboard shows the same in a browser, at the admin address. Rates are over the last five seconds.
    """
    screen = _Screen(AdminClient(admin, token_file), Order(sort), endpoints, namespace)
    if once or not sys.stdout.isatty():
        screen.print_once()
        return
    try:
        screen.run()
    except KeyboardInterrupt:
        pass  # which is how most people leave


class _Screen:
    """What is shown, and in which order."""

    def __init__(self, client: AdminClient, order: Order, endpoints: bool, namespace: str | None) -> None:
        self._client = client
        self._order = order
        self._endpoints = endpoints
        self._namespace = namespace
        self._sections: Sections = {}
        self._problem = ""
        self._changed = threading.Event()
        self._failure: click.ClickException | None = None

    # -- once ----------------------------------------------------------------------------

    def print_once(self) -> None:
        for name, value in self._client.follow("live"):
            self._sections[name] = value
            if name == "rates" and value["window"] >= ENOUGH:
                break
        if "rates" not in self._sections:
            raise NoProxy("the proxy ended before it had anything to show")
        rows = ordered(self._groups(), self._order, with_endpoints=self._endpoints)
        click.echo(format_table(HEADS, [row.cells() for row in rows]))

    def _groups(self) -> Any:
        return groups(self._sections, self._namespace)

    # -- live ----------------------------------------------------------------------------

    def run(self) -> None:
        """Until q is pressed."""
        from rich.live import Live

        threading.Thread(target=self._follow, name="live channel", daemon=True).start()
        with _keys() as read_key, Live(self._rendered(), screen=True, auto_refresh=False) as live:
            while self._failure is None:
                key = read_key()
                if key == "q":
                    return
                self._press(key)
                if key or self._changed.is_set():
                    self._changed.clear()
                    live.update(self._rendered(), refresh=True)
        raise self._failure

    def _press(self, key: str) -> None:
        if key == "d":
            self._endpoints = not self._endpoints
        self._order = KEYS.get(key, self._order)

    def _follow(self) -> None:
        """In a thread: take what the proxy says, and ask again when it is gone."""
        pause = threading.Event()
        while True:
            try:
                for name, value in self._client.follow("live"):
                    self._sections = {**self._sections, name: value}
                    self._problem = ""
                    if name == "rates":
                        self._changed.set()
                self._problem = "the proxy ended; trying again …"
            except NoProxy as error:
                if not self._sections:
                    self._failure = error
                    return
                self._problem = f"{error.message} Trying again …"
            except click.ClickException as error:
                self._failure = error
                return
            self._changed.set()
            pause.wait(RETRY)

    def _rendered(self) -> RenderedGroup:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        if "rates" not in self._sections:
            return Group(Text("connecting …"))
        room = max(1, get_terminal_size().lines - FRAME)
        rows = list(ordered(self._groups(), self._order, with_endpoints=self._endpoints))
        lines = [row.cells() for row in rows[:room]]
        table = Table(box=None, pad_edge=False, header_style="bold dim", expand=True)
        table.add_column(HEADS[0], no_wrap=True, ratio=1)  # what a narrow terminal may cut
        for index, head in enumerate(HEADS[1:], 1):
            width = max(len(line[index]) for line in (HEADS, *lines))
            table.add_column(head, justify="left" if index == 1 else "right", no_wrap=True, min_width=width)
        for row, line in zip(rows, lines, strict=False):
            style = "red" if row.is_bad else "dim" if row.name.startswith("  ") else ""
            table.add_row(*(Text(cell, style=style) for cell in line))
        problem = Text(self._problem, style="bold red")
        hidden = f"{len(rows) - room} more\n" if len(rows) > room else "\n"
        return Group(Text(_headline(self._sections), style="bold"), problem, table, Text(hidden + LEGEND, style="dim"))


def _headline(sections: Sections) -> str:
    """``shop-edge  up 3h  12.5 req/s  99.9% success  p50 4ms  p99 20ms  3 open``."""
    status, rates = sections["status"], sections["rates"]
    parts = [status["name"], f"up {format_age(status['uptime'])}"]
    if not status["ready"]:
        parts.append(f"NOT READY: {status['reason']}")
    if status["config"]["rejection"]:
        parts.append("CONFIGURATION REFUSED")
    if rates["total"]:
        rate, success, p50, p99 = rates["total"]
        parts += [f"{rate:.1f} req/s", f"{format_share(success)} success"]
        parts += [f"p50 {format_latency(p50)}", f"p99 {format_latency(p99)}"]
    return "  ".join((*parts, f"{rates['connections'][0]} open"))


@contextmanager
def _keys() -> Iterator[Any]:
    """Yields what reads one key, or nothing within a short time; where there is no terminal there is never one."""
    if not sys.stdin.isatty():
        yield lambda: _no_key(threading.Event())
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield lambda: os.read(descriptor, 1).decode("latin-1") if select.select([descriptor], [], [], GLANCE)[0] else ""
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _no_key(nothing: threading.Event) -> str:
    nothing.wait(GLANCE)
    return ""

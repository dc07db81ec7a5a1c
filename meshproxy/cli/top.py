"""`meshproxy top`."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient, NoProxy
from meshproxy.cli.parameters import admin_option, token_option
from meshproxy.cli.tables import format_age, format_latency, format_share, format_table
from meshproxy.cli.top_keys import HELP, Wishes, typed
from meshproxy.cli.top_rows import Order, Sections
from meshproxy.cli.top_views import Chosen, Line, Name, View, filtered, view_of

if TYPE_CHECKING:
    from rich.console import Group as RenderedGroup
    from rich.table import Table as RenderedTable

ENOUGH = 2.0
"""Seconds that the rates of `--once` are taken over at least: workers report once a second."""
RETRY = 1.0
"""Seconds between tries to reach a proxy that is gone."""
FRAME = 9
"""Lines of a screen around the rows and the notes."""
GLANCE = 0.1
"""Seconds that a key is waited for."""
KEPT_REQUESTS = 1000
_WIDEST = 44
"""Characters of a column that is not the widest."""
_NUMBERS = frozenset({"REQ/S", "SUCCESS", "P50", "P99", "OPEN", "NEW/S", "FAIL/S", "BYTES/S", "TOOK", "WEIGHT", "NOW"})
"""Heads of columns that are flush right."""


@click.command()
@click.option("--once", is_flag=True, help="Print one table, for scripts, and end.")
@click.option(
    "--view",
    type=click.Choice([name.value for name in Name]),
    default=Name.SERVICES.value,
    show_default=True,
    help="What is shown first, or printed.",
)
@click.option(
    "--sort",
    type=click.Choice([order.value for order in Order]),
    default=Order.NAME.value,
    show_default=True,
    help="What Services are sorted by.",
)
@click.option("--callers", is_flag=True, help="Show who calls each Service, too.")
@click.option("--endpoints", is_flag=True, help="Show the endpoints of each Service, too.")
@click.option("-n", "--namespace", help="Only Services of this namespace.")
@admin_option
@token_option
def command(
    once: bool,
    view: str,
    sort: str,
    callers: bool,
    endpoints: bool,
    namespace: str | None,
    admin: SocketAddress,
    token_file: str | None,
) -> None:
    """Show live what Services do: requests a second, success, latencies, connections.

    The keys 1 to 7 show the views that the dashboard has in a browser, at the admin address. Rates are over the last
    five seconds.
    """
    wishes = Wishes(Name(view), Order(sort), endpoints=endpoints, callers=callers)
    screen = _Screen(AdminClient(admin, token_file), wishes, namespace)
    if once or not sys.stdout.isatty():
        screen.print_once()
        return
    try:
        screen.run()
    except KeyboardInterrupt:
        pass  # which is how most people leave


class _Screen:
    """What is known, and what of it is shown."""

    def __init__(self, client: AdminClient, wishes: Wishes, namespace: str | None) -> None:
        self._client = client
        self._wishes = wishes
        self._namespace = namespace
        self._sections: Sections = {}
        self._problem = ""
        self._changed = threading.Event()
        self._failure: click.ClickException | None = None

    def _take(self, name: str, value: Any) -> None:
        """Keep a section; of requests there are the new ones only."""
        before = self._sections
        if name == "requests":
            value = [*before.get(name, ()), *value][-KEPT_REQUESTS:]
        elif name == "status" and before and before.get(name, value)["process"] != value["process"]:
            before = {**before, "requests": []}  # another process, whose numbers begin anew
        self._sections = {**before, name: value}

    def _view(self) -> View:
        wishes = self._wishes
        now = datetime.now(UTC).timestamp()
        chosen = Chosen(wishes.order, wishes.endpoints, self._namespace, now, callers=wishes.callers)
        return filtered(view_of(wishes.view, {"requests": [], **self._sections}, chosen), wishes.filter)

    # -- once ----------------------------------------------------------------------------

    def print_once(self) -> None:
        for name, value in self._client.follow("live"):
            self._take(name, value)
            if name == "rates" and value["window"] >= ENOUGH:
                break
        if "rates" not in self._sections:
            raise NoProxy("the proxy ended before it had anything to show")
        view = self._view()
        for note in view.notes:
            click.echo(note)
        click.echo(format_table(view.heads, [line.cells for line in view.lines]))

    # -- live ----------------------------------------------------------------------------

    def run(self) -> None:
        """Until q is pressed."""
        from rich.live import Live

        threading.Thread(target=self._follow, name="live channel", daemon=True).start()
        with _keys() as read_keys, Live(self._rendered(), screen=True, auto_refresh=False) as live:
            while self._failure is None:
                keys = read_keys()
                wishes = typed(self._wishes, keys)
                if wishes is None:
                    return
                self._wishes = wishes
                if keys or self._changed.is_set():
                    self._changed.clear()
                    live.update(self._rendered(), refresh=True)
        raise self._failure

    def _follow(self) -> None:
        """In a thread: take what the proxy says, and ask again when it is gone."""
        pause = threading.Event()
        while True:
            try:
                for name, value in self._client.follow("live"):
                    self._take(name, value)
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
        from rich.text import Text

        if "rates" not in self._sections:
            return Group(Text("connecting …"))
        view = self._view()
        height = get_terminal_size().lines
        notes = view.notes[: max(1, height // 3)]
        room = max(1, height - FRAME - len(notes))
        self._wishes = self._wishes.within(len(view.lines) - room)
        first = self._wishes.first
        hidden = len(view.lines) - room - first
        parts = [f"{first} above" if first else "", f"{hidden} more" if hidden > 0 else ""]
        return Group(
            Text(_headline(self._sections), style="bold", no_wrap=True, overflow="ellipsis"),
            Text(self._problem, style="bold red"),
            *(Text(note, no_wrap=True, overflow="ellipsis") for note in notes),
            _table(view, first, room),
            Text("  ".join(filter(None, parts)), style="dim"),
            Text(self._wishes.prompt, style="bold"),
            Text(HELP[self._wishes.view is Name.SERVICES], style="dim", no_wrap=True, overflow="ellipsis"),
        )


def _table(view: View, first: int, room: int) -> RenderedTable:
    from rich.table import Table
    from rich.text import Text

    lines = view.lines[first : first + room]
    table = Table(box=None, pad_edge=False, header_style="bold dim", expand=True)
    for index, head in enumerate(view.heads):
        longest = max(len(line.cells[index]) for line in (Line(view.heads), *lines))
        right = head in _NUMBERS
        if index == view.wide:
            table.add_column(head, no_wrap=True, ratio=1, overflow="ellipsis")  # what a narrow terminal may cut
        else:
            table.add_column(
                head, justify="right" if right else "left", no_wrap=True, min_width=min(longest, _WIDEST),
                max_width=_WIDEST, overflow="ellipsis",
            )  # fmt: skip
    for line in lines:
        style = "red" if line.bad else "dim" if line.minor else ""
        table.add_row(*(Text(cell, style=style) for cell in line.cells))
    return table


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
def _keys() -> Iterator[Callable[[], str]]:
    """Yields what reads keys, or nothing within a short time; where there is no terminal there are never any."""
    if not sys.stdin.isatty():
        yield lambda: _no_key(threading.Event())
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield lambda: _read(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read(descriptor: int) -> str:
    """What was typed, by now: a key may be several characters."""
    ready = select.select([descriptor], [], [], GLANCE)[0]
    return os.read(descriptor, 64).decode("utf-8", "replace") if ready else ""


def _no_key(nothing: threading.Event) -> str:
    nothing.wait(GLANCE)
    return ""

"""`meshproxy ca rotate`."""

from __future__ import annotations

from pathlib import Path

import click

from meshproxy.cli.ca.options import WALL_CLOCK, directory_option, explained
from meshproxy.cli.tables import format_time


@click.command()
@click.option("--finish", is_flag=True, help="Trust the new root only: the old one is no longer needed.")
@click.option("--force", is_flag=True, help="With --finish: do not wait until every certificate under it has expired.")
@click.option("--intermediate", is_flag=True, help="Only a new intermediate, under the same root.")
@directory_option
def rotate(finish: bool, force: bool, intermediate: bool, directory: Path) -> None:
    """Introduce a new root. Nothing breaks: until --finish both are trusted, and each vouches for what is needed.

    A running `ca serve` takes it up by itself. The key of the root that is active must be in the directory.
    """
    from meshproxy.identity.ca.audit import FILE_NAME, AuditEntry, AuditLog
    from meshproxy.identity.ca.store import CAStore

    def note(event: str, subject: str) -> None:
        AuditLog(directory / FILE_NAME, WALL_CLOCK).write(AuditEntry(event=event, how="command", subject=subject))

    if (finish and intermediate) or (force and not finish):
        raise click.UsageError("--finish and --intermediate are two things, and --force belongs to --finish")
    store = CAStore(directory)
    with explained():
        if finish:
            old = store.finish_rotation(WALL_CLOCK(), force=force)
            note("root_dropped", old)
            click.echo(f"{old} is no longer trusted; proxies learn it within minutes. Its files may go.")
        elif intermediate:
            store.rotate_intermediate(WALL_CLOCK())
            note("rotated", store.state().intermediate)
            click.echo(f"{store.state().intermediate} signs from now on.")
        else:
            store.rotate_root(WALL_CLOCK())
            state = store.state()
            note("rotated", state.roots[-1])
            click.echo(f"{state.roots[-1]} signs from now on, and {state.roots[0]} is trusted as well.")
            until = format_time(state.old_leaves_until)
            click.echo(f"When the last certificate under it has expired, at {until}: meshproxy ca rotate --finish")

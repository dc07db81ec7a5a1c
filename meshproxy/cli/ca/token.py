"""`meshproxy ca token`."""

from __future__ import annotations

from pathlib import Path

import click

from meshproxy.base.names import NamespacedName
from meshproxy.cli.ca.options import ACCOUNT, DURATION, WALL_CLOCK, directory_option, explained


@click.command()
@click.argument("account", type=ACCOUNT, metavar="[NAMESPACE/]SERVICE-ACCOUNT")
@click.option("--expires", type=DURATION, default="1h", show_default=True, help="How long it may be used.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file to write it to (mode 0600).")
@directory_option
def token(account: NamespacedName, expires: float, out: Path | None, directory: Path) -> None:
    """Make a bootstrap token, with which one sidecar gets its first certificate, and no other one.

    It is printed this once: the CA keeps a hash of it only.
    """
    from meshproxy.identity.ca.audit import FILE_NAME, AuditEntry, AuditLog
    from meshproxy.identity.ca.store import CAStore, write_private
    from meshproxy.identity.ca.tokens import DIRECTORY, Tokens

    with explained():
        CAStore(directory).state()
        made = Tokens(directory / DIRECTORY).create(account, WALL_CLOCK(), expires)
        entry = AuditEntry(event="token_created", how="command", subject=str(account), token=made.partition(".")[0])
        AuditLog(directory / FILE_NAME, WALL_CLOCK).write(entry)
        if out is not None:
            write_private(out, made.encode() + b"\n")
    if out is None:
        click.echo(made)

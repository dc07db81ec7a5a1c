"""`meshproxy ca revoke`."""

from __future__ import annotations

from pathlib import Path

import click

from meshproxy.base.names import NamespacedName
from meshproxy.cli.ca.options import ACCOUNT, WALL_CLOCK, directory_option, explained


@click.command()
@click.argument("account", type=ACCOUNT, metavar="[NAMESPACE/]SERVICE-ACCOUNT")
@directory_option
def revoke(account: NamespacedName, directory: Path) -> None:
    """Give no further certificate to whoever has one of SERVICE-ACCOUNT, or a token for it.

    After a theft: what was issued goes on until it expires, which a Deny policy is for, and is not renewed. A token
    that is made afterwards is good again. A running `ca serve` takes it up by itself.
    """
    from meshproxy.identity.ca.audit import FILE_NAME, AuditEntry, AuditLog
    from meshproxy.identity.ca.store import CAStore

    with explained():
        store = CAStore(directory)
        entry = AuditEntry(event="revoked", how="command", subject=str(account))
        store.state()
        AuditLog(directory / FILE_NAME, WALL_CLOCK).write(entry)
        store.revoke(account, WALL_CLOCK())
    click.echo(
        f"What {account} has been given gets it no further certificate. Deny it, until the last one has expired;"
    )
    click.echo(f"then, for who is to have that identity again: meshproxy ca token {account}")

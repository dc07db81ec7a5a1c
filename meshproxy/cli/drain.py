"""`meshproxy drain`."""

from __future__ import annotations

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient
from meshproxy.cli.parameters import admin_option, token_option


@click.command()
@admin_option
@token_option
def command(admin: SocketAddress, token_file: str | None) -> None:
    """Stop the running proxy gracefully: no new connections, open ones are finished, then it exits."""
    AdminClient(admin, token_file).post("drain")
    click.echo("draining")

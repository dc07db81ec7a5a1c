"""`meshproxy ca`."""

from __future__ import annotations

import click

from meshproxy.cli.ca import create, issue, revoke, rotate, serve, show, token


@click.group()
def command() -> None:
    """A certificate authority for proxies: make it, issue by hand, or serve sidecars.

    Everything is in one directory (--dir, by default certs), which nobody but its owner should read.
    """


for _subcommand in (create.init, issue.issue, token.token, serve.serve, rotate.rotate, revoke.revoke, show.show):
    command.add_command(_subcommand)

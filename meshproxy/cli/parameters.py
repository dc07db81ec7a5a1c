"""Options and arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.resources.proxy import DEFAULT_ADMIN_ADDRESS


class AddressType(click.ParamType[SocketAddress]):
    """``IP:PORT``."""

    name = "IP:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SocketAddress:
        if isinstance(value, SocketAddress):
            return value
        try:
            return SocketAddress.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


ADDRESS = AddressType()

admin_option = click.option(
    "--admin",
    type=ADDRESS,
    envvar="MESHPROXY_ADMIN",
    default=DEFAULT_ADMIN_ADDRESS,
    show_default=True,
    help="Where the running proxy's admin API is.",
)
token_option = click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False),
    envvar="MESHPROXY_ADMIN_TOKEN_FILE",
    help="A file that holds the admin API's bearer token.",
)

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def names_of(kind: str | None = None) -> Completer:
    """Completes names in the running proxy's list `kind`, or in the one that the command line says.

    Where no proxy answers there are none: a shell is no place for messages.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from meshproxy.cli.client import AdminClient

        wanted = kind or ctx.params.get("kind")
        try:
            rows = AdminClient(ctx.params["admin"], ctx.params["token_file"]).get(f"{wanted}")
        except (click.ClickException, OSError):
            return []
        if not isinstance(rows, list):
            return []
        field = "service" if wanted in ("endpoints", "listeners") else "name"
        namespace = None if ctx.params.get("all_namespaces") else ctx.params.get("namespace") or "default"
        of_these = (row for row in rows if namespace is None or row.get("namespace", namespace) == namespace)
        return sorted({row[field] for row in of_these if row[field].startswith(incomplete)})

    return complete

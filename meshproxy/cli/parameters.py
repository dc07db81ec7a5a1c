"""Options and arguments that several commands have."""

from __future__ import annotations

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

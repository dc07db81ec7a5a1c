"""What the subcommands of `ca` share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from meshproxy.base.durations import Duration
from meshproxy.base.names import NamespacedName
from meshproxy.base.spiffe import SpiffeId

WALL_CLOCK: Callable[[], float] = time.time  # noqa: TID251 commands are where the clock comes from

DEFAULT_DIRECTORY = "certs"
MAX_HOST = 253
_LABEL = r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")

directory_option = click.option(
    "-d",
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    envvar="MESHPROXY_CA_DIR",
    show_default=True,
    help="The CA's directory.",
)


class DurationType(click.ParamType[float]):
    """``24h``, ``1h30m``: more than nothing."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            duration = Duration.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if duration <= 0:
            self.fail(f"{value} is no length of time; write 1h or 24h", param, ctx)
        return float(duration)


class AccountType(click.ParamType[NamespacedName]):
    """``NAME`` or ``NAMESPACE/NAME``."""

    name = "[NAMESPACE/]NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NamespacedName:
        if isinstance(value, NamespacedName):
            return value
        account = NamespacedName.parse(value)
        try:
            SpiffeId.of_service_account("trust.domain", account)
        except ValueError:
            self.fail(f"{value!r} is no service account; write NAME, or NAMESPACE/NAME", param, ctx)
        return account


class HostType(click.ParamType[str]):
    """A DNS name, which may begin with ``*.``, or an IP address: what a server's certificate is for."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(ip_address(value))
        except ValueError:
            pass
        if not value.isascii():
            self.fail(f"{value!r} is to be written as DNS has it, beginning with xn--", param, ctx)
        if len(value) > MAX_HOST or not _HOST.fullmatch(value):
            self.fail(f"{value!r} is no DNS name, and no IP address", param, ctx)
        return str(value)


DURATION = DurationType()
HOST = HostType()
ACCOUNT = AccountType()


@contextmanager
def explained() -> Iterator[None]:
    """Failures of the CA end the command with one line."""
    from meshproxy.base.errors import MeshproxyError

    try:
        yield
    except MeshproxyError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'a file'}: {error.strerror}") from None

"""`meshproxy run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import ConfigError
from meshproxy.cli.parameters import ADDRESS
from meshproxy.runtime.options import RunOptions


class WorkersType(click.ParamType[int]):
    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "auto" or isinstance(value, int):
            return value if isinstance(value, int) else 0
        if not value.isdigit() or not 1 <= int(value) <= 256:
            self.fail(f"{value!r} is neither a number between 1 and 256 nor auto", param, ctx)
        return int(value)


@click.command(epilog="Environment MESHPROXY_* overrides the Proxy document; options override both.")
@click.option(
    "-c",
    "--config",
    "paths",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    envvar="MESHPROXY_CONFIG",
    metavar="PATH",
    help="A manifest, or a directory of them; give it several times for several. Watched for changes.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="MESHPROXY_STATE_DIR",
    help="Where the last good configuration is kept for the next start.",
)
@click.option("--workers", type=WorkersType(), envvar="MESHPROXY_WORKERS", help="Data-plane processes.")
@click.option(
    "--admin", type=ADDRESS, envvar="MESHPROXY_ADMIN", help="Where the admin API listens; port 0 for a free one."
)
@click.option("--dns", type=ADDRESS, envvar="MESHPROXY_DNS", help="Run a DNS server there.")
@click.option("--log-format", type=click.Choice(["text", "json"]), envvar="MESHPROXY_LOG_FORMAT")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), envvar="MESHPROXY_LOG_LEVEL")
def command(
    paths: tuple[Path, ...],
    state_dir: Path | None,
    workers: int | None,
    admin: SocketAddress | None,
    dns: SocketAddress | None,
    log_format: str | None,
    log_level: str | None,
) -> None:
    """Run the proxy until it is told to stop.

    SIGTERM and SIGINT drain: open connections are finished, then it exits. SIGHUP looks at the
    manifests again (they are watched anyway).
    """
    from meshproxy.runtime.supervisor import StartError, run

    options = RunOptions(
        paths=paths,
        state_dir=state_dir,
        workers=workers,
        admin=admin,
        dns=dns,
        log_format=log_format,
        log_level=log_level,
    )
    try:
        run(options)
    except ConfigError as error:
        for finding in error.findings:
            click.echo(str(finding), err=True)
        raise click.ClickException(
            "the configuration is invalid, and there is no last good one to start with"
        ) from None
    except StartError as error:
        raise click.ClickException(str(error)) from None

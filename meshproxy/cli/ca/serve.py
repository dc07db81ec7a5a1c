"""`meshproxy ca serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.bind_errors import explain_bind_error
from meshproxy.cli.ca.options import DURATION, HOST, WALL_CLOCK, directory_option, explained
from meshproxy.cli.parameters import ADDRESS

DEFAULT_ADDRESS = "0.0.0.0:15012"


@click.command()
@click.option("--address", type=ADDRESS, default=DEFAULT_ADDRESS, show_default=True, envvar="MESHPROXY_CA_ADDRESS")
@click.option(
    "--name",
    "hosts",
    type=HOST,
    multiple=True,
    metavar="NAME",
    help="What sidecars call this server: a DNS name or address (default: the host's, localhost, --address).",
)
@click.option("--lifetime", type=DURATION, default="24h", show_default=True, help="Of certificates, if not asked for.")
@click.option("--max-lifetime", type=DURATION, default="7d", show_default=True, help="However long one asks for.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", envvar="MESHPROXY_LOG_FORMAT")
@directory_option
def serve(
    address: SocketAddress,
    hosts: tuple[str, ...],
    lifetime: float,
    max_lifetime: float,
    log_format: str,
    directory: Path,
) -> None:
    """Issue certificates over HTTPS to sidecars that show a bootstrap token or a valid certificate.

    Everything that is issued and refused is a line in audit.log of the directory. Stops at SIGTERM.
    """
    from meshproxy.telemetry.logs import configure_logging

    if lifetime > max_lifetime:
        raise click.UsageError("--lifetime is longer than --max-lifetime")
    configure_logging(log_format, "info", sys.stderr)
    own = () if ip_address(address.host).is_unspecified else (address.host,)
    names = hosts or tuple(dict.fromkeys((socket.gethostname(), "localhost", "127.0.0.1", "::1", *own)))
    with explained():
        asyncio.run(_serve(address, names, (lifetime, max_lifetime), directory))


async def _serve(
    address: SocketAddress, hosts: tuple[str, ...], lifetimes: tuple[float, float], directory: Path
) -> None:
    from meshproxy.aio.service_manager import READY, STOPPING, tell_service_manager
    from meshproxy.authority.server import Authority, CAServer
    from meshproxy.identity.ca.audit import FILE_NAME, AuditLog
    from meshproxy.identity.ca.issuing import Issuer
    from meshproxy.identity.ca.store import CAStore
    from meshproxy.identity.ca.tokens import DIRECTORY, Tokens

    audit = AuditLog(directory / FILE_NAME, WALL_CLOCK)
    authority = Authority(
        issuer=Issuer(CAStore(directory), audit, WALL_CLOCK),
        tokens=Tokens(directory / DIRECTORY),
        audit=audit,
        wall_clock=WALL_CLOCK,
        default_lifetime=lifetimes[0],
        max_lifetime=lifetimes[1],
    )
    server = CAServer(authority, address, hosts)
    try:
        await server.start()
    except OSError as error:
        raise click.ClickException(explain_bind_error(address, error)) from None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Who sends it means "read your files again", which happens by itself, and not "end", as it does by default.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    click.echo(f"the CA serves https://{server.address} as {', '.join(hosts)}", err=True)
    tell_service_manager(READY, f"serving https://{server.address}")
    await stop.wait()
    tell_service_manager(STOPPING)
    await server.stop()

"""`meshproxy ca issue`."""

from __future__ import annotations

from pathlib import Path

import click

from meshproxy.base.names import DEFAULT_NAMESPACE, NamespacedName
from meshproxy.cli.ca.options import ACCOUNT, DURATION, HOST, WALL_CLOCK, directory_option, explained
from meshproxy.cli.tables import format_time

MAX_LIFETIME = 90 * 86400.0


@click.command()
@click.argument("account", type=ACCOUNT, required=False, metavar="[[NAMESPACE/]SERVICE-ACCOUNT]")
@click.option(
    "--dns", "hosts", type=HOST, multiple=True, metavar="NAME", help="Instead: a server's DNS name or address."
)
@click.option("--lifetime", type=DURATION, default="24h", show_default=True, help="At most 90d.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where to write (default: --dir).")
@click.option("--overwrite", is_flag=True, help="Replace the certificate that is there, to renew it.")
@directory_option
def issue(
    account: NamespacedName | None,
    hosts: tuple[str, ...],
    lifetime: float,
    out: Path | None,
    overwrite: bool,
    directory: Path,
) -> None:
    """Issue a certificate by hand, and its key: NAME.pem and NAME.key.

    For a service account, that a proxy may have as `identity.files`; or for the DNS names of a server at the edge.
    """
    from meshproxy.identity.ca.audit import FILE_NAME, AuditEntry, AuditLog
    from meshproxy.identity.ca.certificates import key_pem, new_key
    from meshproxy.identity.ca.issuing import Issuer
    from meshproxy.identity.ca.store import CAStore, write_private

    if (account is None) == (not hosts):
        raise click.UsageError("say whom it is for: a service account, or --dns NAME")
    if lifetime > MAX_LIFETIME:
        raise click.UsageError("a certificate lasts 90d at most; have it renewed instead")
    out = out or directory
    name = _file_name(account, hosts)
    certificate, key_file = out / f"{name}.pem", out / f"{name}.key"
    if not overwrite and (certificate.exists() or key_file.exists()):
        raise click.ClickException(f"{certificate} or {key_file} is there already; --overwrite replaces both")
    with explained():
        issuer = Issuer(CAStore(directory), AuditLog(directory / FILE_NAME, WALL_CLOCK), WALL_CLOCK)
        key, why = new_key(), AuditEntry(event="issued", how="command")
        if account is not None:
            issued = issuer.for_account(account, key.public_key(), lifetime, why)
        else:
            issued = issuer.for_hosts(hosts, key.public_key(), lifetime, why)
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(key_file, key_pem(key))
        write_private(certificate, issued.chain.encode(), 0o644)
    click.echo(f"{certificate} and {key_file}, until {format_time(issued.not_after)}")


def _file_name(account: NamespacedName | None, hosts: tuple[str, ...]) -> str:
    if account is None:
        return hosts[0].replace("*", "wildcard").replace("/", "_")
    return account.name if account.namespace == DEFAULT_NAMESPACE else f"{account.namespace}.{account.name}"

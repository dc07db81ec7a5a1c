"""`meshproxy ca init`."""

from __future__ import annotations

from pathlib import Path

import click

from meshproxy.base.spiffe import DEFAULT_TRUST_DOMAIN, trust_domain_problem
from meshproxy.cli.ca.options import DEFAULT_DIRECTORY, WALL_CLOCK, explained


@click.command()
@click.option(
    "--out",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    envvar="MESHPROXY_CA_DIR",
    show_default=True,
    help="The directory that becomes the CA's.",
)
@click.option("--trust-domain", default=DEFAULT_TRUST_DOMAIN, show_default=True)
def init(directory: Path, trust_domain: str) -> None:
    """Make a CA: a root, and an intermediate that signs. Overwrites nothing."""
    from meshproxy.identity.ca.store import BUNDLE, CAStore

    problem = trust_domain_problem(trust_domain)
    if problem:
        raise click.UsageError(problem)
    with explained():
        CAStore(directory).init(trust_domain, WALL_CLOCK())
    click.echo(f"A CA for the trust domain {trust_domain} is in {directory}.")
    click.echo(f"  {directory / BUNDLE}    the roots, for every proxy to trust")
    click.echo(f"  {directory / 'root-1.key'}   needed to rotate only: keep it elsewhere, if you can")
    click.echo(f"Next: meshproxy ca serve -d {directory}, and meshproxy ca token -d {directory} SERVICE-ACCOUNT")

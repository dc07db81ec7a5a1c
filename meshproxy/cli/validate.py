"""`meshproxy validate`."""

from __future__ import annotations

import json
import sys

import click
import msgspec

from meshproxy.base.errors import Finding, Severity, errors_in
from meshproxy.cli.manifests import read_manifests


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(allow_dash=True), metavar="PATH…")
@click.option(
    "-c",
    "--config",
    "config",
    multiple=True,
    type=click.Path(allow_dash=True),
    metavar="PATH",
    help="The same as PATH, for those who come from `run`.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(paths: tuple[str, ...], config: tuple[str, ...], output: str) -> None:
    """Check manifests as `run` would, and say everything that is wrong with them.

    PATH is a file, a directory, or - for standard input. Exit status 1 when anything is an error.
    """
    if not (paths or config):
        raise click.UsageError("Missing argument 'PATH…': what is to be checked?")
    texts, resources, findings, *_ = read_manifests((*paths, *config))
    errors = errors_in(findings)
    if output == "json":
        click.echo(json.dumps([json.loads(msgspec.json.encode(finding)) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(_summary(findings, resources, texts))
    sys.exit(1 if errors else 0)


def _summary(findings: tuple[Finding, ...], resources: int, texts: int) -> str:
    errors = len(errors_in(findings))
    warnings = sum(1 for finding in findings if finding.severity is Severity.WARNING)
    counts = [_count(number, what) for number, what in ((errors, "error"), (warnings, "warning")) if number]
    if errors:
        return f"{', '.join(counts)} in {_count(texts, 'file')}"
    also = f", {counts[0]}" if counts else ""
    return f"valid: {_count(resources, 'resource')} in {_count(texts, 'file')}{also}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

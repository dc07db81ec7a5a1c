"""`meshproxy doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from meshproxy.base.errors import errors_in
from meshproxy.cli.demo_stage import is_ready
from meshproxy.cli.machine_checks import Check, Grade, machine, ports, state_directory
from meshproxy.cli.manifests import read_manifests
from meshproxy.cli.peer_checks import peers

_MARKS = {Grade.OK: ("ok", "green"), Grade.WARNING: ("warning", "yellow"), Grade.FAILED: ("FAILED", "red")}


@click.command()
@click.option(
    "-c",
    "--config",
    "paths",
    multiple=True,
    type=click.Path(),
    metavar="PATH",
    envvar="MESHPROXY_CONFIG",
    help="Manifests, as for run.",
)
@click.option("--state-dir", type=click.Path(path_type=Path), envvar="MESHPROXY_STATE_DIR", help="As for run.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(paths: tuple[str, ...], state_dir: Path | None, output: str) -> None:
    """Check whether this machine is fit for meshproxy, and say what to do.

    With manifests, their ports, registries, certificates and collectors are checked, too. Nothing is
    changed. Exit status 1 when anything failed.
    """
    checks = list(_checks(paths, state_dir))
    if output == "json":
        click.echo(json.dumps([check._asdict() for check in checks], indent=2))
    else:
        for check in checks:
            _print(check)
    sys.exit(1 if any(check.grade is Grade.FAILED for check in checks) else 0)


def _checks(paths: tuple[str, ...], state_dir: Path | None) -> Iterator[Check]:
    yield from machine()
    if state_dir is not None:
        yield state_directory(state_dir)
    if paths:
        yield from _configuration(paths)


def _configuration(paths: tuple[str, ...]) -> Iterator[Check]:
    manifests = read_manifests(paths)
    errors = errors_in(manifests.findings)
    if manifests.snapshot is None:
        found = f"{len(errors)} error{'s' if len(errors) != 1 else ''}; the first: {errors[0]}"
        yield Check("manifests", Grade.FAILED, found, f"meshproxy validate {' '.join(paths)}")
        return
    warnings = len(manifests.findings)
    grade = Grade.WARNING if warnings else Grade.OK
    advice = f"meshproxy validate {' '.join(paths)}" if warnings else ""
    yield Check("manifests", grade, f"{manifests.resources} resources, {warnings} warnings", advice)
    yield from ports(manifests.snapshot, is_ready(manifests.snapshot.settings.admin))
    if manifests.proxy is not None:
        yield from peers(manifests.proxy)


def _print(check: Check) -> None:
    word, color = _MARKS[check.grade]
    click.echo(f"{click.style(word.ljust(8), fg=color)} {check.what:<13} {check.found}")
    if check.advice:
        click.echo(f"{'':22} → {check.advice}")

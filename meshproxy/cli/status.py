"""`meshproxy status`."""

from __future__ import annotations

import sys
from typing import Any

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient
from meshproxy.cli.get import print_structured
from meshproxy.cli.parameters import admin_option, token_option
from meshproxy.cli.tables import (
    format_age,
    format_handshakes,
    format_latency,
    format_share,
    format_stale,
    format_table,
)

Row = dict[str, Any]


@click.command()
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]))
@admin_option
@token_option
def command(output: str | None, admin: SocketAddress, token_file: str | None) -> None:
    """Show the configuration in force, sources, workers, and what is wrong.

    Exit status 1 when the proxy is not ready, a configuration was refused, a source, a registration or a listener
    failed, or a certificate cannot be used.
    """
    status = AdminClient(admin, token_file).get("status")
    if output:
        print_structured(status, output)
    else:
        _print_status(status)
    sys.exit(0 if _is_well(status) else 1)


def _is_well(status: Row) -> bool:
    failing = [each for each in (*status["sources"], *status["registrations"]) if each["problem"]]
    failing += status["tls"]["problems"]
    failing += [part for part in (status["identity"], status["dns"]) if part and part["problem"]]
    return status["ready"] and not status["config"]["rejection"] and not status["failedListeners"] and not failing


def _print_status(status: Row) -> None:
    ready = "ready" if status["ready"] else f"not ready: {status['reason']}"
    uptime = format_age(status["uptime"])
    click.echo(f"meshproxy {status['version']}  proxy {status['name']}  up {uptime}  {ready}")
    config = status["config"]
    click.echo(f"\nConfiguration: {config['version'] or '<none>'}, for {format_age(config['age'])}")
    click.echo(f"  last good:   {config['lastGood'] or '<none>'}")
    if config["rejection"]:
        click.echo(f"  REJECTED:    {config['rejection']} ({format_age(config['rejectionAge'])} ago)")
    sources = [
        (
            *(each["name"], each["state"], each["resources"], format_age(each["age"]), format_stale(each["stale"])),
            each["problem"] or (f"{each['held']} removals wait to be confirmed" if each["held"] else "-"),
        )
        for each in status["sources"]
    ]
    click.echo("\n" + format_table(("SOURCE", "STATE", "RESOURCES", "CHANGED", "STALE", "PROBLEM"), sources))
    if status["registrations"]:
        _print_registrations(status["registrations"])
    if status["identity"]:
        _print_identity(status["identity"])
    _print_tls(status["tls"])
    if status["dns"]:
        _print_dns(status["dns"])
    workers = [
        (each["id"], each["pid"], each["state"], each["version"], each["restarts"], format_age(each["uptime"]))
        for each in status["workers"]
    ]
    click.echo("\n" + format_table(("WORKER", "PID", "STATE", "CONFIG", "RESTARTS", "UP"), workers))
    failed = status["failedListeners"]
    click.echo(f"\nListeners: {status['listeners'] - len(failed)} of {status['listeners']} are listening")
    for name, problem in failed.items():
        click.echo(f"  {name}: {problem}")
    click.echo(f"\nRequests: {format_requests(status['requests'])}")
    _print_access_log(status["accessLog"])
    if status["exports"]:
        _print_exports(status["exports"])
    if status["diagnostics"]:
        click.echo("\nDiagnostics:")
        for each in status["diagnostics"]:
            click.echo(f"  {format_finding(each)}")


def _print_registrations(registrations: list[Row]) -> None:
    rows = [
        (each["id"], each["address"], each["registered"], each["health"] or "-", each["problem"] or "-")
        for each in registrations
    ]
    click.echo("\n" + format_table(("REGISTERED HERE", "WITH", "REGISTERED", "HEALTH", "PROBLEM"), rows))


def _print_identity(identity: Row) -> None:
    own = next((each for each in identity["certificates"] if each["kind"] == "Identity"), None)
    name = f"{own['name']}, {own['state']}, for {format_age(max(0.0, own['expiresIn']))} more" if own else "<none>"
    click.echo(f"\nIdentity: {name} (from {identity['source']})")
    if identity["problem"]:
        click.echo(f"  PROBLEM:     {identity['problem']}")


def _print_tls(tls: Row) -> None:
    """Nothing where there is none."""
    for whom in ("clients", "endpoints"):
        if tls[whom]["succeeded"] or tls[whom]["failures"]:
            click.echo(f"\nTLS handshakes with {whom}: {format_handshakes(tls[whom])}")
    for label, sentences in (("PROBLEM", tls["problems"]), ("WARNING", tls["warnings"])):
        for each in sentences:
            click.echo(f"  {label + ':':<13}{each}")


def _print_dns(dns: Row) -> None:
    place = str(SocketAddress(*dns["address"])) if dns["listening"] else "not listening"
    queries = sum(each["count"] for each in dns["queries"])
    click.echo(f"\nDNS: {place}, for {dns['domain']}; {queries} queries, {dns['cacheHits']} of them from a cache")
    if dns["problem"]:
        click.echo(f"  PROBLEM:     {dns['problem']}")
    upstreams = [
        (each["address"], each["answers"], each["failures"], _latency(each), each["problem"] or "-")
        for each in dns["upstreams"]
    ]
    if upstreams:
        click.echo("\n" + format_table(("UPSTREAM", "ANSWERS", "FAILURES", "LATENCY", "PROBLEM"), upstreams))


def _latency(upstream: Row) -> str:
    return format_latency(upstream["seconds"] / upstream["answers"]) if upstream["answers"] else "-"


def format_requests(requests: Row) -> str:
    """``1200: 0.5% failed, 12 retries, p50 1.2ms, p99 8ms``."""
    if not requests["total"]:
        return "0"
    parts = (
        f"{format_share(requests['errors'])} failed",
        f"{requests['retries']} {'retry' if requests['retries'] == 1 else 'retries'}",
        f"p50 {format_latency(requests['p50'])}",
        f"p99 {format_latency(requests['p99'])}",
    )
    return f"{requests['total']}: {', '.join(parts)}"


def _print_access_log(log: Row) -> None:
    if log["path"]:
        where = "standard output" if log["path"] == "-" else log["path"]
        dropped = f", {log['dropped']} dropped" if log["dropped"] else ""
        click.echo(f"Access log: {log['lines']} lines to {where}{dropped}")
    if log["problem"]:
        click.echo(f"  {log['problem']}: lines are dropped meanwhile")


def _print_exports(exports: list[Row]) -> None:
    rows = [
        (each["signal"], each["endpoint"], each["sent"], each["dropped"], each["waiting"], each["problem"] or "-")
        for each in exports
    ]
    click.echo("\n" + format_table(("SIGNAL", "COLLECTOR", "SENT", "DROPPED", "WAITING", "PROBLEM"), rows))


def format_finding(finding: Row) -> str:
    """A finding as `base.errors.Finding` prints itself."""
    import msgspec

    from meshproxy.base.errors import Finding

    return str(msgspec.convert(finding, Finding))

"""`meshproxy describe`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient
from meshproxy.cli.get import named
from meshproxy.cli.parameters import admin_option, token_option
from meshproxy.cli.tables import format_age, format_table

Row = dict[str, Any]
LABEL_WIDTH = 20


@click.group()
def command() -> None:
    """Show one thing in detail."""


@command.command("service")
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True)
@admin_option
@token_option
def describe_service(name: str, namespace: str, admin: SocketAddress, token_file: str | None) -> None:
    """Show a Service: its addresses, its endpoints and their shares, and what happened."""
    client = AdminClient(admin, token_file)
    services = client.get("services", {"namespace": namespace})
    service = named(services, "services", name)[0]
    query = {"namespace": namespace, "service": name}
    _print_service(service)
    _print_listeners(client.get("listeners", query))
    _print_endpoints(client.get("endpoints", query))
    subject = f"Service/{name}" if namespace == "default" else f"Service/{namespace}/{name}"
    _print_events(client.get("events", {"subject": subject}))


command.add_command(describe_service, "svc")


def _line(label: str, value: object) -> None:
    click.echo(f"{label + ':':<{LABEL_WIDTH}}{value if value not in ('', None) else '<none>'}")


def _print_service(service: Row) -> None:
    _line("Name", service["name"])
    _line("Namespace", service["namespace"])
    _line("Selector", ",".join(f"{key}={value}" for key, value in service["selector"].items()))
    _line("Type", service["type"])
    if service["externalName"]:
        _line("External Name", service["externalName"])
    _line("IPs", ",".join(service["clusterIPs"]))
    if service["externalIPs"]:
        _line("External IPs", ",".join(service["externalIPs"]))
    for port in service["ports"]:
        _line("Port", f"{port['name'] or '<unset>'}  {port['port']}/{port['protocol']}")
        _line("TargetPort", f"{port['targetPort']}/{port['protocol']}")
        if port["nodePort"]:
            _line("NodePort", f"{port['nodePort']}/{port['protocol']}")
    _line("Session Affinity", service["sessionAffinity"])
    _line("Algorithm", service["algorithm"])
    _line("Traffic Policy", service["policy"])
    _line("Ready", f"{service['ready']}/{service['endpoints']}")


def _print_listeners(listeners: list[Row]) -> None:
    click.echo("\nListeners:")
    rows = [
        (each["address"], each["protocol"], each["role"], each["state"], each["active"], each["problem"] or "-")
        for each in listeners
    ]
    _print_indented(format_table(("ADDRESS", "PROTOCOL", "ROLE", "STATE", "ACTIVE", "PROBLEM"), rows) if rows else "")


def _print_endpoints(endpoints: list[Row]) -> None:
    click.echo("\nEndpoints:")
    total = sum(each["connections"] for each in endpoints)
    rows = [
        (
            each["name"],
            each["address"],
            each["status"],
            format_age(each["age"]),
            each["weight"],
            each["active"],
            f"{100 * each['connections'] / total:.1f}%" if total else "-",
            each["reason"] or "-",
        )
        for each in endpoints
    ]
    heads = ("NAME", "ADDRESS", "STATUS", "SINCE", "WEIGHT", "ACTIVE", "SHARE", "REASON")
    _print_indented(format_table(heads, rows) if rows else "")


def _print_events(events: list[Row]) -> None:
    click.echo("\nEvents:")
    now = datetime.now(UTC).timestamp()
    rows = [
        (
            each["event"]["type"],
            each["event"]["reason"],
            format_age(now - each["last"]) + (f" (x{each['count']})" if each["count"] > 1 else ""),
            each["event"]["message"],
        )
        for each in events
    ]
    _print_indented(format_table(("TYPE", "REASON", "AGE", "MESSAGE"), rows) if rows else "")


def _print_indented(text: str) -> None:
    for line in (text or "<none>").splitlines():
        click.echo(f"  {line}")

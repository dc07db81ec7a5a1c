"""`meshproxy describe`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient
from meshproxy.cli.get import named, rule_label
from meshproxy.cli.parameters import admin_option, names_of, token_option
from meshproxy.cli.status import format_requests
from meshproxy.cli.tables import format_age, format_handshakes, format_latency, format_share, format_table

Row = dict[str, Any]
LABEL_WIDTH = 20


@click.group()
def command() -> None:
    """Show one thing in detail."""


@command.command("service")
@click.argument("name", shell_complete=names_of("services"))
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
    _print_handshakes(client.get("clusters", query))
    _print_authorization(client.get("authorizationpolicies", query))
    _print_routes(client.get("routes"), service)
    subject = f"Service/{name}" if namespace == "default" else f"Service/{namespace}/{name}"
    _print_events(client.get("events", {"subject": subject}))


@command.command("route")
@click.argument("name", shell_complete=names_of("routes"))
@click.option("-n", "--namespace", default="default", show_default=True)
@admin_option
@token_option
def describe_route(name: str, namespace: str, admin: SocketAddress, token_file: str | None) -> None:
    """Show an HTTPRoute or an Ingress: its rules, and how their requests split over backends."""
    rows = AdminClient(admin, token_file).get("routes", {"namespace": namespace})
    found = named(rows, "routes", name)
    _line("Name", name)
    _line("Namespace", namespace)
    _line("Kind", ", ".join(dict.fromkeys(each["kind"] for each in found)))
    _line("Parents", ", ".join(dict.fromkeys(each["parent"] for each in found)))
    for each in found:
        _print_rule(each)


command.add_command(describe_service, "svc")
command.add_command(describe_route, "httproute")
command.add_command(describe_route, "ingress")


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
    shares = _shares(endpoints)
    rows = [
        (
            each["name"],
            each["address"],
            each["status"],
            format_age(each["age"]),
            each["weight"],
            each["active"],
            format_share(share) if share is not None else "-",
            each["requests"]["total"],
            format_share(each["requests"]["errors"]),
            format_latency(each["requests"]["p99"]),
            each["reason"] or "-",
        )
        for each, share in zip(endpoints, shares, strict=True)
    ]
    heads = ("NAME", "ADDRESS", "STATUS", "SINCE", "WEIGHT", "ACTIVE", "SHARE", "REQUESTS", "ERRORS", "P99", "REASON")
    _print_indented(format_table(heads, rows) if rows else "")
    if any(each["secure"] for each in endpoints):
        _print_security(endpoints)


def _print_security(endpoints: list[Row]) -> None:
    """How connections to endpoints are secured, and who each must prove to be."""
    click.echo("\nTLS to endpoints:")
    rows = [
        (
            each["name"],
            each["address"],
            each["secure"] or "none",
            each["meshPort"] or "-",
            " or ".join(each["identities"]) or "-",
        )
        for each in endpoints
    ]
    _print_indented(format_table(("NAME", "ADDRESS", "TLS", "MESH-PORT", "MUST-BE"), rows))


def _print_handshakes(clusters: list[Row]) -> None:
    """How handshakes with endpoints went, where there were any."""
    for each in clusters:
        if each["handshakes"]["succeeded"] or each["handshakes"]["failures"]:
            click.echo(f"  Handshakes, {each['name']}: {format_handshakes(each['handshakes'])}")


def _print_authorization(policies: list[Row]) -> None:
    """The policies that this proxy decides by, if there are any."""
    if policies:
        click.echo("\nAuthorization:")
        rows = [
            (each["name"], each["action"] or "-", each["port"], each["rules"], each["denied"], each["audited"])
            for each in policies
        ]
        _print_indented(format_table(("POLICY", "ACTION", "PORT", "RULES", "DENIED", "AUDITED"), rows))


def _shares(endpoints: list[Row]) -> list[float | None]:
    """What each had of the requests, or of the connections where there were none; None where nobody had anything.

    Connections that carry requests say little: one may have a single request, and another thousands.
    """
    counts = [each["requests"]["total"] for each in endpoints]
    if not any(counts):
        counts = [each["connections"] for each in endpoints]
    total = sum(counts)
    return [count / total if total else None for count in counts]


def _print_rule(rule: Row) -> None:
    click.echo(f"\nRule {rule_label(rule)} at {rule['parent']}:")
    _line("  Hostnames", ",".join(rule["hostnames"]) or "any")
    for label, key in (("  Matches", "matches"), ("  Filters", "filters"), ("  Limits", "limits")):
        for index, words in enumerate(rule[key]):
            click.echo(f"{f'{label}:' if not index else '':<{LABEL_WIDTH}}{words}")
    _line("  Requests", format_requests(rule["requests"]))
    if rule["backends"]:
        click.echo("  Backends:")
        _print_indented(_split(rule["backends"]), "    ")
    for backend in rule["backends"]:
        for words in filter(None, (*backend["filters"], backend["problem"])):
            click.echo(f"    {backend['backend']}: {words}")


def _split(backends: list[Row]) -> str:
    """A table of backends: the share that each is to have, and what it had."""
    total = sum(each["requests"]["total"] for each in backends)
    rows = [
        (
            each["backend"],
            each["weight"],
            format_share(each["share"]),
            each["requests"]["total"],
            format_share(each["requests"]["total"] / total) if total else "-",
            format_share(each["requests"]["errors"]),
            each["requests"]["retries"],
            format_latency(each["requests"]["p50"]),
            format_latency(each["requests"]["p99"]),
        )
        for each in backends
    ]
    return format_table(("BACKEND", "WEIGHT", "SHARE", "REQUESTS", "ACTUAL", "ERRORS", "RETRIES", "P50", "P99"), rows)


def _print_routes(routes: list[Row], service: Row) -> None:
    """Rules that are attached to a Service, and others that lead to it, with what its ports get of each."""
    rows = []
    clusters = {f"{service['namespace']}/{service['name']}:{port['name'] or port['port']}" for port in service["ports"]}
    for route in routes:
        ours = [each for each in route["backends"] if each["cluster"] in clusters]
        if route["parent"].removeprefix("Service/") not in clusters and not ours:
            continue
        rows.append(
            (
                route["rule"],
                route["parent"],
                " | ".join(route["matches"]),
                route["requests"]["total"],
                format_share(sum(each["share"] for each in ours)),
                sum(each["requests"]["total"] for each in ours),
                format_share(route["requests"]["errors"]),
                format_latency(route["requests"]["p99"]),
            )
        )
    if rows:
        click.echo("\nRoutes:")
        heads = ("RULE", "PARENT", "MATCHES", "REQUESTS", "SHARE", "HERE", "ERRORS", "P99")
        _print_indented(format_table(heads, rows))


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


def _print_indented(text: str, indent: str = "  ") -> None:
    for line in (text or "<none>").splitlines():
        click.echo(f"{indent}{line}")

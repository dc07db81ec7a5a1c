"""`meshproxy get`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient
from meshproxy.cli.parameters import admin_option, names_of, token_option
from meshproxy.cli.tables import (
    format_age,
    format_bytes,
    format_failures,
    format_latency,
    format_share,
    format_stale,
    format_table,
    format_time,
)
from meshproxy.loader.suggestions import did_you_mean

Row = dict[str, Any]


class Column(NamedTuple):
    head: str
    value: Callable[[Row], object]
    wide: bool = False


def _field(name: str) -> Callable[[Row], object]:
    return lambda row: row[name]


def _requests() -> tuple[Column, ...]:
    """What a row's requests did."""
    return (
        Column("REQUESTS", lambda row: row["requests"]["total"]),
        Column("ERRORS", lambda row: format_share(row["requests"]["errors"])),
        Column("P50", lambda row: format_latency(row["requests"]["p50"]), wide=True),
        Column("P99", lambda row: format_latency(row["requests"]["p99"])),
        Column("RETRIES", lambda row: row["requests"]["retries"], wide=True),
    )


_HANDSHAKES = (
    Column("HANDSHAKES", lambda row: row["handshakes"]["succeeded"], wide=True),
    Column("TLS-FAILURES", lambda row: format_failures(row["handshakes"]), wide=True),
)


def format_ports(row: Row) -> str:
    """``80/TCP,53:30053/UDP`` as kubectl has it."""
    return ",".join(
        f"{port['port']}{':' + str(port['nodePort']) if port['nodePort'] else ''}/{port['protocol']}"
        for port in row["ports"]
    )


def rule_label(row: Row) -> str:
    """The rule's own name, or its number, within its route: the last part of ``shop/cart/checkout``."""
    own: str = row["rule"].removeprefix(f"{row['namespace']}/{row['name']}").lstrip("/")
    return own


def format_backends(row: Row) -> str:
    """``cart:8080 90%,cart-next:8080 10%``; one that answers 500 has an exclamation mark."""
    return ",".join(
        f"{each['backend']} {format_share(each['share'])}{'!' if each['problem'] else ''}" for each in row["backends"]
    )


COLUMNS: dict[str, tuple[Column, ...]] = {
    "services": (
        Column("NAME", _field("name")),
        Column("TYPE", _field("type")),
        Column("CLUSTER-IP", lambda row: ",".join(row["clusterIPs"])),
        Column("EXTERNAL-IP", lambda row: ",".join(row["externalIPs"]) or row["externalName"]),
        Column("PORT(S)", format_ports),
        Column("READY", lambda row: f"{row['ready']}/{row['endpoints']}"),
        Column("ALGORITHM", _field("algorithm"), wide=True),
        Column("AFFINITY", _field("sessionAffinity"), wide=True),
        Column("SELECTOR", lambda row: ",".join(f"{key}={value}" for key, value in row["selector"].items()), wide=True),
        Column("POLICY", _field("policy"), wide=True),
    ),
    "endpoints": (
        Column("SERVICE", _field("service")),
        Column("PORT", _field("port")),
        Column("NAME", _field("name")),
        Column("ADDRESS", _field("address")),
        Column("STATUS", _field("status")),
        Column("WEIGHT", _field("weight")),
        Column("ACTIVE", _field("active")),
        Column("TOTAL", _field("connections")),
        Column("FAILURES", _field("connectFailures")),
        Column("REASON", _field("reason")),
        Column("SINCE", lambda row: format_age(row["age"]), wide=True),
        Column("PRIORITY", _field("priority"), wide=True),
        Column("ZONE", _field("zone"), wide=True),
        Column("NODE", _field("node"), wide=True),
        Column("TLS", _field("secure"), wide=True),
        Column("SENT", lambda row: format_bytes(row["sent"]), wide=True),
        Column("RECEIVED", lambda row: format_bytes(row["received"]), wide=True),
        *(column._replace(wide=True) for column in _requests()),
        Column("IDLE", _field("idle"), wide=True),
        Column("EJECTIONS", _field("ejections"), wide=True),
    ),
    "workloads": (
        Column("NAME", _field("name")),
        Column("ADDRESS", lambda row: ",".join(row["addresses"])),
        Column("PORTS", lambda row: ",".join(f"{name}={port}" for name, port in row.get("ports", {}).items())),
        Column("READY", lambda row: row.get("ready", True)),
        Column("SERVICES", lambda row: ",".join(row.get("services", []))),
        Column("SOURCE", lambda row: row.get("source", "")),
        Column("WEIGHT", lambda row: row.get("weight", 100), wide=True),
        Column("ZONE", lambda row: row.get("zone", ""), wide=True),
        Column("NODE", lambda row: row.get("node", ""), wide=True),
        Column("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in row.get("labels", {}).items()), wide=True),
    ),
    "routes": (
        Column("NAME", _field("name")),
        Column("RULE", rule_label),
        Column("PARENT", _field("parent")),
        Column("HOSTNAMES", lambda row: ",".join(row["hostnames"]) or "*"),
        Column("MATCHES", lambda row: " | ".join(row["matches"])),
        Column("BACKENDS", format_backends),
        *_requests(),
        Column("KIND", _field("kind"), wide=True),
        Column("FILTERS", lambda row: "; ".join(row["filters"]), wide=True),
        Column("LIMITS", lambda row: "; ".join(row["limits"]), wide=True),
    ),
    "listeners": (
        Column("ADDRESS", _field("address")),
        Column("PROTOCOL", _field("protocol")),
        Column("SERVICE", _field("service")),
        Column("PORT", _field("port")),
        Column("ROLE", _field("role")),
        Column("STATE", _field("state")),
        Column("ACTIVE", _field("active")),
        Column("TOTAL", _field("accepted")),
        Column("PROBLEM", _field("problem")),
        Column("REFUSED", _field("refused"), wide=True),
        Column("DENIED", _field("denied"), wide=True),
        Column("OVERFLOWED", _field("overflowed"), wide=True),
        Column("MALFORMED", _field("malformed"), wide=True),
        Column("DROPPED", _field("dropped"), wide=True),
        *_HANDSHAKES,
        Column("CLUSTER", _field("cluster"), wide=True),
    ),
    "clusters": (
        Column("NAME", _field("name")),
        Column("PROTOCOL", _field("protocol")),
        Column("ALGORITHM", _field("algorithm")),
        Column("READY", lambda row: f"{row['usable']}/{row['endpoints']}"),
        Column("ACTIVE", _field("active")),
        *_HANDSHAKES,
    ),
    "sources": (
        Column("NAME", _field("name")),
        Column("ADDRESS", _field("address")),
        Column("STATE", _field("state")),
        Column("RESOURCES", _field("resources")),
        Column("HELD", _field("held")),
        Column("CHANGED", lambda row: format_age(row["age"])),
        Column("STALE", lambda row: format_stale(row["stale"])),
        Column("ERRORS", _field("errors")),
        Column("PROBLEM", _field("problem")),
        Column("KINDS", lambda row: ",".join(f"{kind}={n}" for kind, n in row["counts"].items()), wide=True),
    ),
    "authorizationpolicies": (
        Column("NAME", _field("name")),
        Column("ACTION", _field("action")),
        Column("SERVICE", _field("service")),
        Column("PORT", _field("port")),
        Column("RULES", _field("rules")),
        Column("DENIED", _field("denied")),
        Column("AUDITED", _field("audited")),
    ),
    "certificates": (
        Column("KIND", _field("kind")),
        Column("NAME", _field("name")),
        Column("ISSUER", _field("issuer")),
        Column("STATE", _field("state")),
        Column("EXPIRES", lambda row: format_age(max(0.0, row["expiresIn"]))),
        Column("FOR", lambda row: ",".join(row["names"]), wide=True),
        Column("SERIAL", _field("serial"), wide=True),
        Column("NOT-BEFORE", lambda row: format_time(row["notBefore"]), wide=True),
        Column("NOT-AFTER", lambda row: format_time(row["notAfter"]), wide=True),
    ),
}
NOT_NAMESPACED = frozenset({"sources", "certificates"})

ALIASES = {
    "service": "services",
    "svc": "services",
    "endpoint": "endpoints",
    "ep": "endpoints",
    "workload": "workloads",
    "wl": "workloads",
    "route": "routes",
    "httproute": "routes",
    "httproutes": "routes",
    "listener": "listeners",
    "cluster": "clusters",
    "source": "sources",
    "authorizationpolicy": "authorizationpolicies",
    "authz": "authorizationpolicies",
    "certificate": "certificates",
    "cert": "certificates",
}
KINDS = (*COLUMNS, "config")


class KindType(click.ParamType[str]):
    """A list's name, in the plural, the singular or short."""

    name = "KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind: str = ALIASES.get(value.lower(), value.lower())
        if kind not in KINDS:
            hint = did_you_mean(value, (*KINDS, *ALIASES))
            self.fail(f"there is nothing called {value!r}{hint}; there are {', '.join(KINDS)}", param, ctx)
        return kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


@click.command()
@click.argument("kind", type=KindType(), metavar="KIND")
@click.argument("name", required=False, shell_complete=names_of())
@click.option("-n", "--namespace", help="Only this namespace (default: default).")
@click.option("-A", "--all-namespaces", is_flag=True, help="Every namespace.")
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml"]))
@admin_option
@token_option
def command(
    kind: str,
    name: str | None,
    namespace: str | None,
    all_namespaces: bool,
    output: str | None,
    admin: SocketAddress,
    token_file: str | None,
) -> None:
    """List KIND: services (svc), endpoints (ep), workloads (wl), routes, listeners, clusters,
    sources, certificates (cert), authorizationpolicies (authz), or config.

    NAME limits the list to one; for endpoints and listeners it is a Service's name.
    """
    client = AdminClient(admin, token_file)
    if kind == "config":
        print_structured(client.get("config"), output if output in ("json", "yaml") else "yaml")
        return
    all_namespaces = all_namespaces and kind not in NOT_NAMESPACED
    wanted = None if all_namespaces or kind in NOT_NAMESPACED else namespace or "default"
    rows = [_with_namespace(row) for row in client.get(kind)]
    rows = [row for row in rows if wanted is None or row["namespace"] in (wanted, "")]  # the mesh port is in none
    if name is not None:
        rows = named(rows, kind, name)
    if output in ("json", "yaml"):
        print_structured(rows, output)
    elif not rows:
        where = "any namespace" if wanted is None else f"namespace {wanted}"
        click.echo(f"No {kind} found in {where}.", err=True)
    else:
        print_rows(kind, rows, wide=output == "wide", namespaces=all_namespaces)


def _with_namespace(row: Row) -> Row:
    return {"namespace": "default", **row}


def named(rows: Sequence[Row], kind: str, name: str) -> list[Row]:
    """The rows called `name`; ends the command where there is none."""
    field = "service" if kind in ("endpoints", "listeners") else "name"
    found = [row for row in rows if name in (row[field], row.get("name"))]
    if not found:
        hint = did_you_mean(name, {str(row[field]) for row in rows})
        raise click.ClickException(f'{kind} "{name}" not found{hint}')
    return found


def print_rows(kind: str, rows: Sequence[Row], *, wide: bool, namespaces: bool) -> None:
    """Print a table of `rows`."""
    columns = [column for column in COLUMNS[kind] if wide or not column.wide]
    if namespaces:
        columns.insert(0, Column("NAMESPACE", _field("namespace")))
    table = ([column.value(row) for column in columns] for row in rows)
    click.echo(format_table([column.head for column in columns], table))


def print_structured(value: Any, output: str) -> None:
    """Print `value` as ``json`` or ``yaml``."""
    if output == "json":
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        import yaml

        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)

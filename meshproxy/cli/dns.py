"""`meshproxy dns`."""

from __future__ import annotations

import json
import sys
from ipaddress import ip_address
from typing import Any, NamedTuple

import click
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.reversename

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient
from meshproxy.cli.parameters import ADDRESS, admin_option, names_of, token_option
from meshproxy.cli.tables import format_table
from meshproxy.loader.suggestions import did_you_mean

TIMEOUT = 6.0
"""Seconds: the server asks its upstreams for four and a half at most."""

Row = dict[str, Any]


class _Reply(NamedTuple):
    message: dns.message.Message
    seconds: float

    @property
    def rcode(self) -> str:
        return dns.rcode.to_text(self.message.rcode())


@click.group()
def command() -> None:
    """Ask the running proxy's DNS server for a name, and explain its answer."""


@command.command()
@click.argument("name", shell_complete=names_of("services"))
@click.argument("type_", metavar="[TYPE]", required=False)
@click.option("--tcp", is_flag=True, help="Ask over TCP.")
@click.option("--server", type=ADDRESS, help="Ask this server. By default the running proxy says where its own is.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@admin_option
@token_option
def lookup(
    name: str,
    type_: str | None,
    tcp: bool,
    server: SocketAddress | None,
    output: str,
    admin: SocketAddress,
    token_file: str | None,
) -> None:
    """Show what NAME resolves to, and why: which Service it is, why it is none, or who was asked instead.

    TYPE is a record type, by default A; NAME may be an IP address, whose name is looked up then. Exit status 1
    when there is no such record.
    """
    question, kind = _question(name, type_)
    client = AdminClient(admin, token_file)
    report = client.get("dns")
    if report is None:
        raise click.ClickException(
            "no DNS server runs in this proxy: set spec.dns of the Proxy, or start it with --dns 127.0.0.1:15053"
        )
    reply = _ask(server or _address_of(report), question, kind, tcp=tcp)
    why = client.get("dns/explain", {"name": question, "type": kind})
    hint = "" if why["exists"] or why["forwarded"] else _hint(client, question, report["domain"])
    records = [
        (str(each.name), each.ttl, dns.rdatatype.to_text(each.rdtype), str(rdata))
        for each in reply.message.answer
        for rdata in each
    ]
    if output == "json":
        document = {"rcode": reply.rcode, "records": records, "explanation": why, "hint": hint.strip()}
        click.echo(json.dumps(document, indent=2))
    else:
        _print(records, reply, why, hint, server or _address_of(report))
    found = any(each.rdtype == dns.rdatatype.from_text(kind) for each in reply.message.answer) or kind == "ANY"
    sys.exit(0 if reply.rcode == "NOERROR" and found else 1)


def _question(name: str, kind: str | None) -> tuple[str, str]:
    """What is asked for: the reverse name of an address, else the name as it is."""
    try:
        reverse = dns.reversename.from_address(str(ip_address(name)))
    except ValueError:
        reverse = None
    if reverse is not None:
        return reverse.to_text(omit_final_dot=True), kind.upper() if kind else "PTR"
    try:
        dns.name.from_text(name)
        dns.rdatatype.from_text(kind or "A")
    except dns.rdatatype.UnknownRdatatype:
        raise click.UsageError(f"{kind} is no record type; such are A, AAAA, SRV, CNAME, PTR, TXT") from None
    except dns.exception.DNSException as error:
        raise click.UsageError(f"{name!r} is no DNS name: {error}") from None
    return name, (kind or "A").upper()


def _address_of(report: Row) -> SocketAddress:
    """Where the server is to be asked; one that listens everywhere, on this machine."""
    if not report["listening"]:
        raise click.ClickException(f"the DNS server does not listen: {report['problem']}")
    host, port = report["address"]
    return SocketAddress({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


def _ask(server: SocketAddress, name: str, kind: str, *, tcp: bool) -> _Reply:
    query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    try:
        if tcp:
            message = dns.query.tcp(query, server.host, timeout=TIMEOUT, port=server.port)
        else:
            message, _ = dns.query.udp_with_fallback(query, server.host, timeout=TIMEOUT, port=server.port)
    except (OSError, dns.exception.DNSException) as error:
        raise click.ClickException(f"no DNS server answers at {server}: {str(error) or type(error).__name__}") from None
    return _Reply(message, message.time)


def _hint(client: AdminClient, name: str, domain: str) -> str:
    """A Service whose name is alike."""
    labels = name.rstrip(".").removesuffix(f".{domain}").removesuffix(".svc").split(".")
    services = client.get("services")
    if len(labels) == 1:
        return did_you_mean(labels[0], {each["name"] for each in services})
    return did_you_mean(".".join(labels[-2:]), {f"{each['name']}.{each['namespace']}" for each in services})


def _print(records: list[tuple[str, int, str, str]], reply: _Reply, why: Row, hint: str, server: SocketAddress) -> None:
    if records:
        click.echo(format_table(("NAME", "TTL", "TYPE", "DATA"), records) + "\n")
    truncated = ", truncated" if reply.message.flags & dns.flags.TC else ""
    nothing = "" if records or reply.rcode != "NOERROR" else ", no such record"
    click.echo(f"{reply.rcode}{nothing}{truncated}, from {server} in {1000 * reply.seconds:.1f} ms")
    kept = f" (kept for {why['cachedFor']} s)" if why["cachedFor"] is not None else ""
    click.echo(f"{why['reason']}{kept}{hint}")

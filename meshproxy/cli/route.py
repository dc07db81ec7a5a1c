"""`meshproxy route`."""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

import click
import msgspec

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import errors_in
from meshproxy.cli.client import AdminClient
from meshproxy.cli.manifests import read_manifests
from meshproxy.cli.parameters import admin_option, token_option
from meshproxy.cli.route_tables import Chosen, Selector, choose
from meshproxy.cli.route_words import Answer, answer, as_text
from meshproxy.protocols.http1.errors import MalformedRequest
from meshproxy.protocols.http1.request import RequestHead, parse_request
from meshproxy.routing.explain import Explanation, explain
from meshproxy.routing.paths import normalize_path
from meshproxy.snapshot.model import Snapshot


@click.group()
def command() -> None:
    """Explain which rule a request takes."""


@command.command("explain")
@click.option("--host", metavar="HOST[:PORT]", help="The request's Host. By default the Service's name.")
@click.option("--path", default="/", show_default=True, metavar="PATH[?QUERY]", help="As a client would send it.")
@click.option("--method", default="GET", show_default=True)
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Can be given several times.")
@click.option("--cookie", "cookies", multiple=True, metavar="NAME=VALUE", help="Can be given several times.")
@click.option("--service", metavar="[NAMESPACE/]NAME[:PORT]", help="The request goes to this Service.")
@click.option("--gateway", metavar="[NAMESPACE/]NAME[:PORT]", help="The request comes in by this Gateway.")
@click.option("--port", help="The Service's port, by name or number, or the Gateway's.")
@click.option("-n", "--namespace", help="Of Services and Gateways without one. By default the proxy's.")
@click.option(
    "-c",
    "--config",
    "paths",
    multiple=True,
    type=click.Path(allow_dash=True),
    metavar="PATH",
    help="Manifests, instead of a running proxy. Can be given several times.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@admin_option
@token_option
def explain_route(
    paths: tuple[str, ...], admin: SocketAddress, token_file: str | None, output: str, **said: Any
) -> None:
    """Say which rule a request takes, what becomes of it, and why other rules do not get it.

    The rules are those of the running proxy, or with -c those of manifests. Exit status 1 when no rule matches.
    """
    request = _Said(**said)
    snapshot = _from_files(paths) if paths else _from_proxy(AdminClient(admin, token_file))
    chosen = choose(snapshot, request.selector(snapshot.settings.namespace))
    explanation, result = _explained(chosen, request)
    if output == "json":
        click.echo(json.dumps(_document(chosen, explanation, result), indent=2))
    else:
        click.echo(as_text(request.line(), chosen.where, explanation, result))
    sys.exit(0 if result.matches else 1)


class _Said(NamedTuple):
    """The options that describe the request."""

    host: str | None
    path: str
    method: str
    headers: tuple[str, ...]
    cookies: tuple[str, ...]
    service: str | None
    gateway: str | None
    port: str | None
    namespace: str | None

    def authority(self) -> str:
        """What the Host field says, as `--host` or, as curl has it, `-H`; `click.UsageError` where nobody said it."""
        host = self.host or next(filter(None, map(_host_in, self.headers)), "")
        if host:
            return host
        if self.service is None:
            raise click.UsageError("say --host, or --service")
        return self.service.partition(":")[0].rpartition("/")[2]

    def selector(self, namespace: str) -> Selector:
        """A port in `--service`, `--gateway` or `--host` is as good as `--port`."""
        host, port = _split(self.authority())
        service, service_port = _split(self.service or "")
        gateway, gateway_port = _split(self.gateway or "")
        return Selector(
            host=host.lower(),
            service=service or None,
            gateway=gateway or None,
            port=self.port or service_port or gateway_port or port or None,
            namespace=self.namespace or namespace,
        )

    def line(self) -> str:
        return f"{self.method} http://{self.authority()}{self.path}"

    def head(self) -> RequestHead:
        """The request as the data plane has it; raises `MalformedRequest`."""
        fields = [f"Host: {self.authority()}", *(each for each in self.headers if self.host or not _host_in(each))]
        if self.cookies:
            fields.append(f"Cookie: {'; '.join(self.cookies)}")
        lines = "\r\n".join((f"{self.method} {self.path} HTTP/1.1", *fields))
        head = parse_request(lines.encode() + b"\r\n\r\n")
        path = normalize_path(head.path)
        if path is None:
            raise MalformedRequest(400, "the path's percent-encoding is malformed")
        head.path = path
        return head


def _host_in(field: str) -> str:
    """The value of a Host field; nothing of others."""
    name, _, value = field.partition(":")
    return value.strip() if name.lower() == "host" else ""


def _split(name: str) -> tuple[str, str]:
    """``cart:80`` as (``cart``, ``80``); an IPv6 address keeps its colons and its brackets."""
    if name.endswith("]"):
        return name, ""
    host, colon, port = name.rpartition(":")
    return (host, port) if colon else (name, "")


def _from_files(paths: tuple[str, ...]) -> Snapshot:
    manifests = read_manifests(paths)
    if manifests.snapshot is None:
        lines = "\n".join(str(each) for each in errors_in(manifests.findings))
        raise click.ClickException(f"the manifests have errors:\n{lines}")
    return manifests.snapshot


def _from_proxy(client: AdminClient) -> Snapshot:
    try:
        return msgspec.convert(client.get("config"), Snapshot)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"the proxy is of another version than this command: {error}") from None


def _explained(chosen: Chosen, request: _Said) -> tuple[Explanation | None, Answer]:
    port = chosen.listener.address.port if chosen.listener is not None else 80
    try:
        head = request.head()
    except MalformedRequest as error:
        return None, Answer(status=error.status, why=str(error))
    if chosen.table is None:
        return None, Answer(why="it has no routes: all requests go to its endpoints")
    explanation = explain(chosen.table, head)
    return explanation, answer(explanation, head, port)


def _document(chosen: Chosen, explanation: Explanation | None, result: Answer) -> dict[str, Any]:
    return {
        "where": chosen.where,
        "answer": msgspec.to_builtins(result),
        "explanation": msgspec.to_builtins(explanation),
    }

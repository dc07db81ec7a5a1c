"""The command group."""

from __future__ import annotations

from importlib import import_module

import click

from meshproxy import __version__
from meshproxy.base.build import describe_build

COMMANDS = {
    "run": "Run the proxy.",
    "validate": "Check manifests, and explain what is wrong with them.",
    "schema": "Print the JSON Schema of the manifests, for editors.",
    "route": "Explain which rule a request takes.",
    "demo": "Show a Service with three endpoints at work.",
    "get": "List services, endpoints, workloads, routes, listeners, clusters, certificates …",
    "describe": "Show one thing in detail.",
    "status": "Show how the running proxy does.",
    "top": "Show live what Services do, as the dashboard does.",
    "ca": "Run a certificate authority for mutual TLS.",
    "dns": "Ask the running proxy's DNS server for a name, and explain its answer.",
    "drain": "Stop the running proxy gracefully.",
    "doctor": "Check whether this machine is fit for meshproxy, and say what to do.",
    "completion": "Print a script that completes commands in your shell.",
}
"""Every command and its one-line help, so that ``--help`` imports none of them."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"meshproxy.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(f"{__version__} ({describe_build()})", prog_name="meshproxy")
def main() -> None:
    """A Kubernetes Service and a service mesh for programs that run outside Kubernetes.

    `get`, `describe`, `status`, `top`, `dns` and `drain` ask a running proxy's admin API (--admin,
    MESHPROXY_ADMIN, or 127.0.0.1:15000), and `route` does if it is given no files.
    """

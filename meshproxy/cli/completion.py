"""`meshproxy completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

WHERE = {
    "bash": "source <(meshproxy completion bash)           # in ~/.bashrc",
    "zsh": "source <(meshproxy completion zsh)            # in ~/.zshrc, after compinit",
    "fish": "meshproxy completion fish | source            # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(WHERE.values()))
@click.argument("shell", type=click.Choice(list(WHERE)))
def command(shell: str) -> None:
    """Print a script with which SHELL completes commands and options."""
    from meshproxy.cli.main import main

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(main, {}, "meshproxy", "_MESHPROXY_COMPLETE").source())

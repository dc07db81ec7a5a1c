"""Scripts for shells, and that the one for bash completes in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshproxy.cli.main import main

TYPED = """\
source <(meshproxy completion bash)
COMP_WORDS=(meshproxy get ser) COMP_CWORD=2
_meshproxy_completion meshproxy
echo "${COMPREPLY[*]}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_MESHPROXY_COMPLETE={shell}_complete" in result.output


def test_bash_completes() -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", TYPED], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("services\n", "")

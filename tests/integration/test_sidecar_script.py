"""deploy/compose/sidecar.py: a program and its proxy in one container, where it is the first process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.meta.project import ROOT

AS_FIRST_PROCESS = """\
import ctypes, runpy, sys
PR_SET_CHILD_SUBREAPER = 36  # prctl(2): orphans become its children, as they do those of process 1
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
script = runpy.run_path(sys.argv[1])
script["run_both"].__globals__.update(READY=("true",), PROXY=("sh", "-c", sys.argv[2]))
sys.exit(script["run_both"](["sh", "-c", sys.argv[3]]))
"""


@pytest.mark.parametrize(
    ("proxy", "program", "status"),
    [
        pytest.param("exec sleep 60", "exit 7", 7, id="the program ends"),
        pytest.param("exit 3", "exec sleep 60", 3, id="the proxy ends"),
        pytest.param("exec sleep 60", "(exit 1 & ) ; sleep 0.2; exit 7", 7, id="an orphan ends"),
    ],
)
def test_it_ends_with_either_and_with_nobody_else(proxy: str, program: str, status: int) -> None:
    script = str(ROOT / "deploy" / "compose" / "sidecar.py")
    command = (sys.executable, "-c", AS_FIRST_PROCESS, script, proxy, program)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (status, "")

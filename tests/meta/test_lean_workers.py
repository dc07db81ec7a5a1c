"""A worker holds the data plane and nothing heavy."""

from __future__ import annotations

import subprocess
import sys

HEAVY = frozenset({"aiohttp", "yaml", "click", "rich", "prometheus_client", "cryptography", "dns"})


def test_a_worker_imports_nothing_heavy() -> None:
    code = "import sys, meshproxy.runtime.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert HEAVY.isdisjoint(output.split())


def test_help_is_quick_to_import() -> None:
    code = "import sys, meshproxy.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {"aiohttp", "uvloop", "prometheus_client"}.isdisjoint(output.split())

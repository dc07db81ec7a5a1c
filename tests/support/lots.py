"""Which tests must not run at the same time, where several processes share them: those of a lot go to one of them.

A file is a lot, since its tests share fixtures. Everything else that tests have is their own: free addresses, ports
and directories, network namespaces named for their process.
"""

from __future__ import annotations

NETWORK = "the machine's containers and network interfaces"
"""A proxy that follows an engine sees all containers; a browser gives up what it loads when an interface comes."""
ADDRESSES = "addresses that are written down"
"""In examples and documents, and those from which ``meshproxy demo`` takes the first free one."""

LOTS = {
    "tests/integration/test_compose.py": NETWORK,
    "tests/integration/test_dashboard.py": NETWORK,
    "tests/integration/test_dashboard_pages.py": NETWORK,
    "tests/integration/test_docker.py": NETWORK,
    "tests/integration/test_docker_example.py": NETWORK,
    "tests/integration/test_demo_check.py": ADDRESSES,
    "tests/integration/test_examples_run.py": ADDRESSES,
    "tests/integration/test_http_examples_run.py": ADDRESSES,
    "tests/integration/test_packaging.py": ADDRESSES,
    "tests/integration/test_tls_examples_run.py": ADDRESSES,
    "tests/integration/test_tutorial.py": ADDRESSES,
}


def lot_of(test: str) -> str:
    """The lot of a test by its id, ``FILE::NAME``."""
    file = test.partition("::")[0]
    return LOTS.get(file, file)

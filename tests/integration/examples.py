"""Examples as they are, for a proxy of a test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import can_bind
from tests.integration.proxy_process import ProxyProcess

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def prepare_example(proxy: ProxyProcess, example: str, service: SocketAddress, *servers: SocketAddress) -> None:
    """Give `proxy` an example's manifests; skips where an address that it names is taken."""
    for address in (service, *servers):
        if not can_bind(address.host, address.port):
            pytest.skip(f"{address}, which the example uses, is taken")
    shutil.copytree(EXAMPLES / example, proxy.manifests, dirs_exist_ok=True)

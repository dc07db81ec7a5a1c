"""How a proxy was asked to run."""

from __future__ import annotations

from pathlib import Path

import msgspec

from meshproxy.base.addresses import SocketAddress


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """None leaves a setting to the Proxy document. `workers` 0 means one for each CPU."""

    paths: tuple[Path, ...]
    state_dir: Path | None = None
    workers: int | None = None
    admin: SocketAddress | None = None
    dns: SocketAddress | None = None
    log_format: str | None = None
    log_level: str | None = None

"""Tables as kubectl prints them: aligned columns, upper-case heads, nothing wrapped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from math import log2
from typing import Any

GAP = "   "


def format_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest value; empty values are shown as ``<none>``."""
    lines = [tuple(heads), *(tuple(str(cell) if cell not in ("", None) else "<none>" for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def format_age(seconds: float | None) -> str:
    """``12s``, ``5m``, ``3h``, ``2d``: kubectl's AGE, with the largest unit only."""
    if seconds is None:
        return "<unknown>"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def format_stale(seconds: float | None) -> str:
    """How long something has not been confirmed; ``-`` where it is."""
    return "-" if seconds is None else format_age(seconds)


def format_time(seconds: float) -> str:
    """``2026-11-24T20:37:01Z``, of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_latency(seconds: float | None) -> str:
    """``250µs``, ``4.5ms``, ``1.2s``, three digits at most; ``-`` where there is none."""
    if seconds is None:
        return "-"
    for size, unit in ((1, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g}{unit}"
    return f"{seconds * 1e6:.3g}µs"


def format_share(share: float) -> str:
    """``90%``, ``0.25%``."""
    return f"{100 * share:.3g}%"


def format_bytes(count: float) -> str:
    """``512 B``, ``1.5 KiB``, ``3.2 GiB``."""
    if count < 1024:
        return f"{int(count)} B"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min(int(log2(count)) // 10, len(units))
    return f"{count / 1024**power:.1f} {units[power - 1]}"


def format_handshakes(counts: dict[str, Any]) -> str:
    """``120, 80 of them resumed; 3 failed (expired 2, unknown_ca 1)``."""
    text = f"{counts['succeeded']}, {counts['resumed']} of them resumed"
    failed = sum(counts["failures"].values())
    return f"{text}; {failed} failed ({format_failures(counts)})" if failed else text


def format_failures(counts: dict[str, Any]) -> str:
    """``expired 2, unknown_ca 1``."""
    return ", ".join(f"{reason} {count}" for reason, count in counts["failures"].items())

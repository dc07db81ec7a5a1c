"""``python -m benchmarks [l4|l7|tls] [options]``: one of them, or all with what options they have in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks import bench_l4, bench_l7, bench_tls

BENCHMARKS = {"l4": bench_l4.main, "l7": bench_l7.main, "tls": bench_tls.main}


def main(arguments: Sequence[str]) -> int:
    """The worst exit status of those that ran."""
    chosen = BENCHMARKS.get(arguments[0]) if arguments else None
    if chosen is not None:
        return chosen(arguments[1:])
    return max([each(arguments) for each in BENCHMARKS.values()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

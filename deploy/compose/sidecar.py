"""Starts a proxy in a container: ``sidecar.py [PROGRAM ARGUMENT…]``.

Takes one of the bootstrap tokens that the CA left, where there is a volume of them, so that containers of one service,
however many they are, have one each. With a program it runs both, for a service that is scaled: the program from when
the proxy is ready until the proxy has taken it out and finished what was open.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

TOKENS = Path("/run/meshproxy")
TOKEN = Path("/var/lib/meshproxy/token")
READY = ("python3", "-IS", "/usr/local/lib/meshproxy-ready.py")
PROXY = ("meshproxy", "run")


def take_token() -> None:
    """A token of our own; a container that is started again still has it."""
    while not TOKEN.exists():
        for each in sorted(TOKENS.glob("*.token")):
            mine = each.with_suffix(f".{os.uname().nodename}")
            try:
                each.rename(mine)
            except FileNotFoundError:  # another one was quicker
                continue
            TOKEN.write_text(mine.read_text())
            mine.unlink()
            return
        time.sleep(0.2)


def run_both(program: list[str]) -> int:
    """The program's exit status, or the proxy's where that ended first, as it does at SIGTERM."""
    proxy = subprocess.Popen(PROXY)

    def stop(signum: int, frame: FrameType | None) -> None:
        proxy.send_signal(signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, stop)
    while subprocess.run(READY, capture_output=True, check=False).returncode:
        if proxy.poll() is not None:
            return proxy.returncode
        time.sleep(0.1)
    started = subprocess.Popen(program)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended in (proxy.pid, started.pid):  # the first process of a container has all orphans for children, too
            break
    other = started if ended == proxy.pid else proxy
    other.terminate()
    other.wait()
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    if TOKENS.is_dir():
        take_token()
    if sys.argv[1:]:
        sys.exit(run_both(sys.argv[1:]))
    os.execvp(PROXY[0], PROXY)

"""The shop's certificate authority: makes a CA at the first start, leaves tokens for sidecars, and issues certificates.

``ca.py ACCOUNT…``: in each ``/tokens/ACCOUNT``, a volume that only this account's sidecars have, are the roots, and as
many unused tokens as there should be, made again as they are taken or get old.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from meshproxy.cli.main import main as meshproxy

DIRECTORY = Path("/ca")
TOKENS = Path("/tokens")
ADMIN_TOKEN = "admin"
"""Beside the roots: what the admin API wants to see. Whoever scrapes has a volume of this name."""
UNUSED = 3
LIFETIME, RENEWED = "1h", 30 * 60.0
SIDECAR = 65532
"""The image's user."""
LOOK = 2.0
"""Seconds between looks at what was taken."""


def call(*arguments: str) -> None:
    """One of meshproxy's commands, in this process."""
    meshproxy(["ca", *arguments], standalone_mode=False)


def leave(account: str, admin_token: str) -> None:
    """What sidecars of `account` need. The volume is theirs: they take what is in it."""
    directory = TOKENS / account
    os.chown(directory, SIDECAR, SIDECAR)
    write(directory / "roots.pem", (DIRECTORY / "roots.pem").read_text())
    write(directory / ADMIN_TOKEN, admin_token)
    for number in range(UNUSED):
        path = directory / f"{number}.token"
        try:
            if time.time() - path.stat().st_mtime < RENEWED:
                continue
        except FileNotFoundError:
            pass
        made = directory / ".new"
        made.unlink(missing_ok=True)
        call("token", f"default/{account}", "--dir", str(DIRECTORY), "--out", str(made), "--expires", LIFETIME)
        os.chown(made, SIDECAR, SIDECAR)
        made.rename(path)


def write(path: Path, text: str) -> None:
    """Whole or not at all, and only where it differs."""
    if not path.exists() or path.read_text() != text:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.rename(path)


def main(accounts: list[str]) -> int:
    if not (DIRECTORY / "roots.pem").exists():
        call("init", "--out", str(DIRECTORY))
    kept = DIRECTORY / ADMIN_TOKEN
    if not kept.exists():
        write(kept, secrets.token_urlsafe(32))
        kept.chmod(0o600)
    admin_token = kept.read_text()
    scrapers = TOKENS / "scrape"
    if scrapers.exists():
        write(scrapers / ADMIN_TOKEN, admin_token)
    for account in accounts:
        leave(account, admin_token)
    server = subprocess.Popen(["meshproxy", "ca", "serve", "--dir", str(DIRECTORY), "--name", "ca"])
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    while True:
        try:
            return server.wait(LOOK)
        except subprocess.TimeoutExpired:
            for account in accounts:
                leave(account, admin_token)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

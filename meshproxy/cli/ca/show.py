"""`meshproxy ca show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from meshproxy.cli.ca.options import WALL_CLOCK, directory_option, explained
from meshproxy.cli.tables import format_age, format_table, format_time


@click.command()
@click.option("-o", "--output", type=click.Choice(["json"]))
@directory_option
def show(output: str | None, directory: Path) -> None:
    """Show the CA: its roots and intermediate, when they expire, its tokens, and what was revoked."""
    with explained():
        document = _document(directory)
    if output:
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"Trust domain: {document['trustDomain']}\n")
    rows = [
        (each["name"], each["role"], each["state"], format_time(each["notAfter"]), each["fingerprint"][:16])
        for each in document["certificates"]
    ]
    click.echo(format_table(("NAME", "ROLE", "STATE", "NOT-AFTER", "SHA-256"), rows))
    if document["oldLeavesUntil"]:
        until = format_time(document["oldLeavesUntil"])
        click.echo(f"\nA rotation is going on: meshproxy ca rotate --finish, from {until} on.")
    tokens = [
        (each["id"], each["serviceAccount"], each["state"], format_age(max(0.0, each["expiresIn"])))
        for each in document["tokens"]
    ]
    if tokens:
        click.echo("\n" + format_table(("TOKEN", "SERVICE-ACCOUNT", "STATE", "EXPIRES"), tokens))
    revoked = [(account, format_time(since)) for account, since in document["revoked"].items()]
    if revoked:
        click.echo("\n" + format_table(("REVOKED", "WHAT-WAS-MADE-UNTIL"), revoked))


def _document(directory: Path) -> dict[str, Any]:
    from meshproxy.identity.ca.store import CAStore
    from meshproxy.identity.ca.tokens import DIRECTORY, Tokens

    now = WALL_CLOCK()
    store = CAStore(directory)
    state = store.state()
    roles = dict.fromkeys(state.roots[:-1], "old root") | {state.roots[-1]: "root"}
    roles |= {state.cross: "cross-signed root"} if state.cross else {}
    roles |= {state.intermediate: "intermediate"}
    return {
        "trustDomain": state.trust_domain,
        "certificates": [_row(store, name, role, now) for name, role in roles.items()],
        "oldLeavesUntil": state.old_leaves_until if len(state.roots) > 1 else 0,
        "tokens": [
            {
                "id": each.token.id,
                "serviceAccount": str(each.token.account),
                "state": "Used" if each.used else "Expired" if now > each.token.expires_at else "Unused",
                "expiresIn": each.token.expires_at - now,
            }
            for each in Tokens(directory / DIRECTORY).states()
        ],
        "revoked": state.revoked,
    }


def _row(store: Any, name: str, role: str, now: float) -> dict[str, Any]:
    from cryptography.hazmat.primitives import hashes

    from meshproxy.identity.expiry import state_of

    certificate = store.certificate(name)
    start, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return {
        "name": name,
        "role": role,
        "state": state_of(start, end, now).value,
        "notAfter": end,
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
    }

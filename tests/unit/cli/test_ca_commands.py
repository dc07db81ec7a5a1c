"""`meshproxy ca`, as a user runs it: right, and wrong."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from meshproxy.cli.main import main


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ("ca", *words))


def test_from_init_to_a_finished_rotation() -> None:
    assert "trust domain example.org is in certs" in run("init", "--trust-domain", "example.org").output
    result = run("issue", "shop/cart", "--lifetime", "1h")
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(Path("certs/shop.cart.key").stat().st_mode) == 0o600
    assert Path("certs/shop.cart.pem").read_text().count("BEGIN CERTIFICATE") == 2
    token = run("token", "web").output.strip()
    shown = run("show").output
    assert "Trust domain: example.org" in shown
    assert [line.split()[:2] for line in shown.splitlines()[-1:]] == [[token.partition(".")[0], "default/web"]]
    assert "root-2 signs from now on, and root-1 is trusted as well" in run("rotate").output
    assert "A rotation is going on" in run("show").output
    refused = run("rotate", "--finish")
    assert refused.exit_code == 1
    assert "are valid for up to 2.0 more hours" in refused.output
    assert "root-1 is no longer trusted" in run("rotate", "--finish", "--force").output
    assert "intermediate-3 signs from now on" in run("rotate", "--intermediate").output
    document = json.loads(run("show", "-o", "json").output)
    assert [each["name"] for each in document["certificates"]] == ["root-2", "intermediate-3"]
    events = [json.loads(line)["event"] for line in Path("certs/audit.log").read_text().splitlines()]
    assert events == ["issued", "token_created", "rotated", "root_dropped", "rotated"]


def test_a_token_in_a_file_is_private_and_not_shown() -> None:
    run("init")
    result = run("token", "web", "--out", "web.token")
    assert result.output == ""
    assert stat.S_IMODE(Path("web.token").stat().st_mode) == 0o600
    assert "." in Path("web.token").read_text()


def test_revoking() -> None:
    run("init")
    assert "shop/cart" in run("revoke", "shop/cart").output
    assert run("show").output.splitlines()[-1].split()[0] == "shop/cart"
    assert list(json.loads(run("show", "-o", "json").output)["revoked"]) == ["shop/cart"]
    assert '"event":"revoked"' in Path("certs/audit.log").read_text()


def test_renewing_by_hand() -> None:
    run("init", "--out", "elsewhere")
    assert run("issue", "-d", "elsewhere", "--out", "out", "web").exit_code == 0
    first = Path("out/web.pem").read_text()
    refused = run("issue", "-d", "elsewhere", "--out", "out", "web")
    assert "is there already; --overwrite replaces both" in refused.output
    assert Path("out/web.pem").read_text() == first
    assert run("issue", "-d", "elsewhere", "--out", "out", "web", "--overwrite").exit_code == 0
    assert Path("out/web.pem").read_text() != first
    assert run("issue", "-d", "elsewhere", "--dns", "*.example.com", "--dns", "::1").exit_code == 0
    assert Path("elsewhere/wildcard.example.com.pem").exists()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("init",), 1, "holds ca.json"),
        (("init", "--out", "new", "--trust-domain", "Example.Org"), 2, "no trust domain"),
        (("init", "--out", "file"), 2, "is a file"),
        (("init", "--out", "file/below"), 1, "cannot be made"),
        (("issue",), 2, "say whom it is for"),
        (("issue", "web", "--dns", "a.example"), 2, "say whom it is for"),
        (("issue", "a b"), 2, "is no service account"),
        (("issue", "web", "--lifetime", "1y"), 2, "1y"),
        (("issue", "web", "--lifetime", "0s"), 2, "is no length of time"),
        (("issue", "web", "--lifetime", "91d"), 2, "lasts 90d at most"),
        (("issue", "web", "-d", "nowhere"), 1, "there is no CA in nowhere; make one: meshproxy ca init"),
        (("token", "web", "-d", "nowhere"), 1, "there is no CA in nowhere"),
        (("token", "web", "--out", "no/where"), 1, "No such file"),
        (("show", "-d", "nowhere"), 1, "there is no CA in nowhere"),
        (("serve", "-d", "nowhere"), 1, "there is no CA in nowhere"),
        (("serve", "--address", "somewhere"), 2, "is not an address"),
        (("serve", "--lifetime", "8d"), 2, "longer than --max-lifetime"),
        (("serve", "--address", "192.0.2.1:0"), 1, "is not an address of this machine"),
        (("revoke", "web", "-d", "nowhere"), 1, "there is no CA in nowhere"),
        (("revoke", "a b"), 2, "is no service account"),
        (("issue", "--dns", "bücher.example"), 2, "xn--"),
        (("issue", "--dns", ""), 2, "is no DNS name"),
        (("issue", "--dns", "a b.example"), 2, "is no DNS name"),
        (("rotate", "-d", "nowhere"), 1, "nowhere cannot be opened"),
        (("rotate", "--finish"), 1, "no rotation is going on"),
        (("rotate", "--force"), 2, "belongs to --finish"),
        (("rotate", "--finish", "--intermediate"), 2, "two things"),
    ],
)
def test_mistakes_are_explained(words: tuple[str, ...], status: int, message: str) -> None:
    run("init")
    Path("file").touch()
    result = run(*words)
    assert message in result.output
    assert result.exit_code == status
    assert "Traceback" not in result.output

"""What the doctor finds, on this machine and in what manifests name."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import pytest
from click.testing import CliRunner

from benchmarks.processes import free_port
from meshproxy.base.addresses import SocketAddress
from meshproxy.cli import machine_checks
from meshproxy.cli.main import main

PROXY = """\
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {{name: p}}
spec: {{admin: {{address: '127.0.0.1:{admin}'}}, {spec}}}
"""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def doctor(*arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit status, and the checks by what they look at."""
    result = CliRunner().invoke(main, ["doctor", "-o", "json", *arguments], catch_exceptions=False)
    found: dict[str, list[dict[str, Any]]] = {}
    for check in json.loads(result.stdout):
        found.setdefault(check["what"], []).append(check)
    return result.exit_code, found


def write(directory: Path, spec: str = "", admin: int = 0) -> str:
    path = directory / "m.yaml"
    path.write_text(PROXY.format(admin=admin or free_port(), spec=spec))
    return str(path)


def test_the_machine() -> None:
    status, found = doctor()
    assert status == 0
    assert set(found) == {"system", "build", "open files", "low ports", "virtual IPs", "clock", "names"}
    assert all(check["advice"] for (check,) in found.values() if check["grade"] != "ok")


def test_name_servers_that_answer_and_that_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    monkeypatch.setattr(machine_checks, "DNS_TIMEOUT", 5.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        address = SocketAddress("127.0.0.1", server.getsockname()[1])
        monkeypatch.setattr(machine_checks, "nameservers", lambda text: (address,))
        answering = threading.Thread(target=_answer_once, args=(server,))
        answering.start()
        assert machine_checks.resolvers(resolv_conf).grade == "ok"
        answering.join()
    silent = machine_checks.resolvers(resolv_conf)
    assert (silent.grade, silent.found) == ("warning", f"no answer from 127.0.0.1 in {resolv_conf}")
    assert silent.advice


def _answer_once(server: socket.socket) -> None:
    question, client = server.recvfrom(512)
    message = dns.message.from_wire(question)
    assert message.question[0].to_text() == ". IN NS"
    server.sendto(dns.message.make_response(message).to_wire(), client)


def test_a_configuration_that_is_well(tmp_path: Path) -> None:
    status, found = doctor("-c", write(tmp_path), "--state-dir", str(tmp_path / "new" / "state"))
    assert status == 0
    assert [found[what][0]["grade"] for what in ("manifests", "listeners", "state")] == ["ok", "ok", "ok"]


def test_manifests_with_mistakes(tmp_path: Path) -> None:
    status, found = doctor("-c", write(tmp_path, "workers: 0"))
    (check,) = found["manifests"]
    assert (status, check["grade"]) == (1, "failed")
    assert "m.yaml:4" in check["found"]
    assert check["advice"].startswith("meshproxy validate ")


def test_a_port_that_is_taken(tmp_path: Path, taken: int) -> None:
    status, found = doctor("-c", write(tmp_path, admin=taken))
    (check,) = found["listeners"]
    assert (status, check["grade"]) == (1, "failed")
    assert f"the admin API: 127.0.0.1:{taken} is in use by another program" in check["found"]


@pytest.mark.parametrize(
    ("spec", "what", "grade"),
    [
        ("sources: [{{consul: {{address: 'http://127.0.0.1:{port}'}}}}]", "Consul", "failed"),
        ("sources: [{{docker: {{endpoint: 'unix:///nowhere.sock'}}}}]", "Docker", "failed"),
        ("telemetry: {{otlp: {{endpoint: 'http://127.0.0.1:{port}'}}, metrics: {{}}}}", "collector", "warning"),
        ("identity: {{files: {{certificate: /no/c, key: /no/k, roots: /no/r}}}}", "certificates", "failed"),
    ],
)
def test_peers_that_are_not_there(tmp_path: Path, spec: str, what: str, grade: str) -> None:
    status, found = doctor("-c", write(tmp_path, spec.format(port=free_port())))
    assert status == (1 if grade == "failed" else 0)
    assert {check["grade"] for check in found[what]} == {grade}
    assert all(check["advice"] for check in found[what])


def test_a_collector_that_is_there(tmp_path: Path, taken: int) -> None:
    spec = f"telemetry: {{otlp: {{endpoint: 'http://127.0.0.1:{taken}'}}, metrics: {{}}}}"
    _, found = doctor("-c", write(tmp_path, spec))
    assert found["collector"][0]["grade"] == "ok"


def test_text_says_what_to_do(tmp_path: Path, taken: int) -> None:
    result = CliRunner().invoke(main, ["doctor", "-c", write(tmp_path, "workers: 0")])
    assert result.exit_code == 1
    assert "FAILED   manifests" in result.output
    assert "→ meshproxy validate" in result.output

"""What systemd is told over its socket, and that nothing happens where there is none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from meshproxy.aio.service_manager import READY, SOCKET_VARIABLE, STOPPING, tell_service_manager


def test_states_arrive_with_their_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "notify"))
        tell_service_manager(READY, "serving")
        tell_service_manager(STOPPING)
        assert (manager.recv(1000), manager.recv(1000)) == (b"READY=1\nSTATUS=serving", b"STOPPING=1")


def test_an_abstract_address_begins_with_an_at_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # the kernel chooses one in the abstract namespace (unix(7))
        monkeypatch.setenv(SOCKET_VARIABLE, f"@{manager.getsockname()[1:].decode()}")
        tell_service_manager(READY)
        assert manager.recv(1000) == b"READY=1"


def test_nobody_who_asks_is_no_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    tell_service_manager(READY)
    assert not caplog.records


def test_a_manager_that_is_gone_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(tmp_path / "nowhere"))
    tell_service_manager(READY)
    assert "cannot be told READY=1" in caplog.text

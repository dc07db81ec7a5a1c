"""Bytes in, events out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.registry.docker.containers import Health
from meshproxy.registry.docker.events import LOST, MAX_LINE, DockerEvent, EventDecoder


def line(action: str, kind: str = "container", **attributes: Any) -> bytes:
    message = {"Type": kind, "Action": action, "Actor": {"ID": "c1", "Attributes": attributes}, "timeNano": 7}
    return json.dumps(message).encode() + b"\n"


def decode(*chunks: bytes) -> list[DockerEvent]:
    decoder = EventDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def test_events_of_containers() -> None:
    events = decode(line("start") + line("die"), line("health_status: unhealthy"), line("pause"))
    assert [event.action for event in events] == ["start", "die", "health_status", "pause"]
    assert [event.id for event in events] == ["c1"] * 4
    assert events[0].has_begun
    assert events[1].has_ended
    assert events[2].changes == {"health": Health.UNHEALTHY}
    assert events[3].changes == {"state": "paused"}
    assert events[0].nanoseconds == 7


def test_a_network_event_is_about_the_container_in_it() -> None:
    assert [event.id for event in decode(line("connect", "network", container="c9"))] == ["c9"]


@pytest.mark.parametrize(
    ("signal", "stops"),
    [("15", True), ("9", True), ("2", True), ("3", True), ("28", True), ("37", True), ("1", False), ("10", False)],
)
def test_which_signals_stop(signal: str, stops: bool) -> None:
    assert decode(line("kill", signal=signal))[0].begins_to_stop is stops


def test_a_signal_that_is_no_number_is_taken_for_a_stop() -> None:
    assert decode(line("kill", signal="SIGTERM"), line("kill"))[0].begins_to_stop


def test_the_rest_does_not_concern_us() -> None:
    assert decode(line("exec_start: sh"), line("pull", "image"), line("create", "network"), b"\n \n") == []


def test_byte_by_byte() -> None:
    data = line("start", app="wéb") + line("die")
    assert decode(*(data[index : index + 1] for index in range(len(data)))) == decode(data)


def test_what_is_no_event_means_looking_at_everything() -> None:
    assert decode(b"{nonsense\n" + line("start"))[0] is LOST
    assert decode(b"\xff\xff\n") == [LOST]
    assert decode(b'{"Type": 3}\n') == [LOST]


def test_a_line_too_long_is_passed_over_and_said_once() -> None:
    chunks = [b"x" * (MAX_LINE // 2)] * 5 + [b"\n", line("start")]
    events = decode(*chunks)
    assert [event.is_lost for event in events] == [True, False]


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_give_events(chunks: list[bytes]) -> None:
    assert all(isinstance(event, DockerEvent) for event in decode(*chunks))

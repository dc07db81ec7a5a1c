"""Events say what cannot wait, lists what is true."""

from __future__ import annotations

import msgspec
import pytest

from meshproxy.registry.docker.containers import Health
from meshproxy.registry.docker.events import LOST, DockerEvent
from meshproxy.registry.docker.inventory import ENDED_FOR, SETTLE, STOPPING_FOR, Inventory
from tests.support.docker import make_container

A, B = make_container("a"), make_container("b")
TERM = DockerEvent(A.id, "kill", 15)


def make_inventory() -> Inventory:
    """Both have been listed."""
    inventory = Inventory()
    assert inventory.take_unseen(20, 0) is None
    inventory.listed(None, [A, B], 0)
    return inventory


def test_everything_is_asked_for_first() -> None:
    inventory = Inventory()
    assert inventory.next_look(0) == 0
    assert inventory.take_unseen(20, 0) is None
    assert inventory.next_look(0) is None


def test_a_container_that_starts_is_asked_for_at_once_and_once_more() -> None:
    inventory = make_inventory()
    assert not inventory.apply(DockerEvent("new", "start"), 1)
    assert inventory.next_look(1) == 0
    assert inventory.take_unseen(20, 1) == frozenset({"new"})
    assert inventory.next_look(1) == pytest.approx(SETTLE)
    assert inventory.take_unseen(20, 1 + SETTLE) == frozenset({"new"})
    assert inventory.next_look(2) is None


def test_one_that_is_told_to_stop_is_stopping_before_it_is_gone() -> None:
    inventory = make_inventory()
    assert inventory.apply(TERM, 1)
    assert inventory.stopping == {A.id}
    assert A in inventory.containers
    assert not inventory.apply(TERM, 2), "a second signal changes nothing"


def test_one_that_ends_is_gone_at_once_and_for_certain() -> None:
    inventory = make_inventory()
    assert inventory.apply(DockerEvent(A.id, "die"), 1)
    assert inventory.containers == (B,)
    assert inventory.take_ended() == {A.id}
    assert inventory.take_ended() == frozenset()


def test_a_signal_that_did_not_end_it_is_forgotten_after_a_while() -> None:
    inventory = make_inventory()
    inventory.apply(TERM, 1)
    inventory.listed(None, [A, B], STOPPING_FOR)
    assert inventory.stopping == {A.id}
    inventory.listed(None, [A, B], 1 + STOPPING_FOR)
    assert not inventory.stopping


def test_one_that_starts_again_is_not_stopping() -> None:
    inventory = make_inventory()
    inventory.apply(TERM, 1)
    assert inventory.apply(DockerEvent(A.id, "restart"), 2)
    assert not inventory.stopping


def test_health_and_pauses_are_believed_at_once() -> None:
    inventory = make_inventory()
    assert inventory.apply(DockerEvent(A.id, "health_status", health=Health.UNHEALTHY), 1)
    assert inventory.apply(DockerEvent(B.id, "pause"), 1)
    assert [each.is_ready for each in inventory.containers] == [False, False]
    assert not inventory.apply(DockerEvent(B.id, "pause"), 1)
    assert inventory.apply(DockerEvent(B.id, "unpause"), 1)


def test_an_answer_that_is_older_than_an_event_does_not_undo_it() -> None:
    inventory = make_inventory()
    inventory.look_again()
    inventory.take_unseen(20, 1)
    inventory.apply(DockerEvent(A.id, "die"), 1)
    inventory.listed(None, [A, B], 1)
    assert inventory.containers == (B,)
    assert inventory.take_unseen(20, 1 + SETTLE) == frozenset({A.id})


def test_one_that_is_missing_from_a_list_unasked_is_gone_but_not_for_certain() -> None:
    inventory = make_inventory()
    inventory.look_again()
    inventory.listed(inventory.take_unseen(20, 1), [B], 1)
    assert inventory.containers == (B,)
    assert inventory.take_ended() == frozenset()


def test_one_that_an_event_was_about_and_that_is_not_there_has_ended() -> None:
    inventory = make_inventory()
    inventory.apply(DockerEvent(A.id, "disconnect"), 1)
    inventory.listed(inventory.take_unseen(20, 1), [], 1)
    assert inventory.containers == (B,)
    assert inventory.take_ended() == {A.id}


def test_many_at_once_are_one_list() -> None:
    inventory = make_inventory()
    for number in range(21):
        inventory.apply(DockerEvent(f"c{number}", "start"), 1)
    assert inventory.take_unseen(20, 1) is None


def test_a_lost_event_means_everything() -> None:
    inventory = make_inventory()
    inventory.apply(LOST, 1)
    assert inventory.take_unseen(20, 1) is None


def test_what_did_not_change_stays_the_same_object() -> None:
    inventory = make_inventory()
    inventory.listed(None, [msgspec.structs.replace(A), B], 1)
    assert any(each is A for each in inventory.containers)


def test_a_list_that_still_shows_one_that_ended_is_not_believed() -> None:
    inventory = make_inventory()
    inventory.apply(DockerEvent(A.id, "die"), 1)
    inventory.apply(DockerEvent(A.id, "disconnect"), 1)
    inventory.listed(inventory.take_unseen(20, 1), [A], 1)
    assert inventory.containers == (B,)
    inventory.listed(None, [A, B], 1 + ENDED_FOR)
    assert len(inventory.containers) == 2


def test_one_that_begins_again_is_believed_at_once() -> None:
    inventory = make_inventory()
    inventory.apply(DockerEvent(A.id, "die"), 1)
    inventory.apply(DockerEvent(A.id, "start"), 1)
    inventory.listed(inventory.take_unseen(20, 1), [A], 1)
    assert len(inventory.containers) == 2

"""The publisher's decisions, as conversations."""

from __future__ import annotations

from meshproxy.controlplane.publisher import Outcome, Publish, Publisher
from meshproxy.snapshot.model import Snapshot

ONE, TWO = Snapshot(version="1"), Snapshot(version="2")


def test_a_snapshot_is_good_when_all_workers_have_it() -> None:
    publisher = Publisher()
    assert publisher.offer(ONE) == []
    assert publisher.worker_joined(0) == [Publish(0, ONE, reset=True)]
    assert publisher.worker_joined(1) == [Publish(1, ONE, reset=True)]
    assert publisher.acknowledged(0, "1") is Outcome.NOTHING
    assert publisher.acknowledged(1, "1") is Outcome.PROMOTED
    assert publisher.last_good is ONE
    assert publisher.acknowledged(1, "1") is Outcome.NOTHING


def test_the_same_version_is_not_offered_twice() -> None:
    publisher = Publisher()
    publisher.offer(ONE)
    publisher.worker_joined(0)
    assert publisher.offer(Snapshot(version="1")) == []
    assert publisher.offer(TWO) == [Publish(0, TWO, reset=False)]


def test_a_refusal_leads_everyone_back_and_is_remembered() -> None:
    publisher = Publisher()
    publisher.offer(ONE)
    for worker in (0, 1):
        publisher.worker_joined(worker)
        publisher.acknowledged(worker, "1")
    publisher.offer(TWO)
    publisher.acknowledged(0, "2")
    outcome, back = publisher.rejected(1, "2")
    assert outcome is Outcome.ROLLED_BACK
    assert back == [Publish(0, ONE, reset=True), Publish(1, ONE, reset=True)]
    assert publisher.current is ONE
    assert publisher.offer(TWO) == []
    three = Snapshot(version="3")
    assert len(publisher.offer(three)) == 2
    assert len(publisher.offer(TWO)) == 2, "after another configuration it may be tried again"


def test_a_refused_first_snapshot_leaves_nothing() -> None:
    publisher = Publisher()
    publisher.offer(ONE)
    publisher.worker_joined(0)
    assert publisher.rejected(0, "1") == (Outcome.ROLLED_BACK, [])


def test_a_late_answer_to_an_old_version_means_nothing() -> None:
    publisher = Publisher()
    publisher.offer(ONE)
    publisher.worker_joined(0)
    publisher.offer(TWO)
    assert publisher.acknowledged(0, "1") is Outcome.NOTHING
    assert publisher.rejected(0, "1") == (Outcome.NOTHING, [])
    assert publisher.acknowledged(0, "2") is Outcome.PROMOTED


def test_a_worker_that_left_is_not_waited_for() -> None:
    publisher = Publisher()
    publisher.offer(ONE)
    publisher.worker_joined(0)
    publisher.worker_joined(1)
    publisher.worker_left(1)
    assert publisher.acknowledged(0, "1") is Outcome.PROMOTED

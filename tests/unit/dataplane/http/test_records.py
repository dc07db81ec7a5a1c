"""Records wait encoded, in bounded number, for the supervisor."""

from __future__ import annotations

from meshproxy.dataplane.http.records import MAX_RECORDS, PART, Records
from meshproxy.snapshot.messages import AccessRecord, EncodedAccessRecords, encode
from tests.support.access import decoded, make_record


def take(records: Records) -> tuple[list[EncodedAccessRecords], list[AccessRecord]]:
    messages = [EncodedAccessRecords(*part) for part in records.take()]
    return messages, [record for message in messages for record in decoded(message).records]


def test_records_are_taken_once_in_their_order_in_parts_that_fit_a_packet() -> None:
    records = Records()
    made = [make_record(target=f"/{number}", fields={"x": "y" * 2048}) for number in range(20)]
    for record in made:
        records.put(record)
    messages, found = take(records)
    assert found == made
    assert [len(encode(message)) < PART + 4096 for message in messages] == [True, True, True]
    assert take(records) == ([], [])
    records.put(made[3])
    assert take(records)[1] == [made[3]]


def test_more_than_are_kept_are_counted_once() -> None:
    records, record = Records(), make_record()
    for _ in range(MAX_RECORDS + 3):
        records.put(record)
    messages, found = take(records)
    assert len(found) == MAX_RECORDS
    assert [message.dropped for message in messages] == [3, *[0] * (len(messages) - 1)]
    records.put(record)
    assert [message.dropped for message in take(records)[0]] == [0]

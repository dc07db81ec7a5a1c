"""The control channel keeps packets, their order and their descriptors together."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from meshproxy.runtime.channel import Channel, channel_pair


class Recorder:
    """Collects what a channel delivers."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.sockets: list[socket.socket] = []
        self.closed = asyncio.Event()
        self._more = asyncio.Event()

    def packet(self, packet: memoryview, sockets: list[socket.socket]) -> None:
        self.packets.append(bytes(packet))
        self.sockets += sockets
        self._more.set()

    async def wait_for_packets(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.packets) < count:
                self._more.clear()
                await self._more.wait()

    def close(self) -> None:
        for each in self.sockets:
            each.close()


async def test_packets_arrive_whole_and_in_order_when_the_kernel_buffer_overflows() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = channel_pair()
    recorder = Recorder()
    sender = Channel(loop, ours, lambda packet, sockets: None, lambda: None)
    packets = [bytes([index % 251]) * (20_000 + index) for index in range(200)]
    for packet in packets:
        sender.send(packet)
    receiver = Channel(loop, theirs, recorder.packet, recorder.closed.set)
    await recorder.wait_for_packets(len(packets))
    assert recorder.packets == packets
    sender.close()
    async with asyncio.timeout(10):
        await recorder.closed.wait()
    receiver.close()


async def test_descriptors_travel_with_their_packet() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = channel_pair()
    recorder = Recorder()
    receiver = Channel(loop, theirs, recorder.packet, recorder.closed.set)
    sender = Channel(loop, ours, lambda packet, sockets: None, lambda: None)
    with socket.socket() as first, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        sender.send(b"two", [first.fileno(), second.fileno()])
        sender.send(b"none")
        await recorder.wait_for_packets(2)
        assert recorder.packets == [b"two", b"none"]
        assert [each.getsockname() for each in recorder.sockets] == [first.getsockname(), second.getsockname()]
        assert [each.type for each in recorder.sockets] == [socket.SOCK_STREAM, socket.SOCK_DGRAM]
    sender.close()
    receiver.close()
    recorder.close()


async def test_descriptors_that_wait_are_closed_with_the_channel() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = channel_pair()
    sender = Channel(loop, ours, lambda packet, sockets: None, lambda: None)
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(50):
        sender.send(b"x" * 100_000, [ours.fileno()])
    sender.close()
    theirs.close()
    assert len(os.listdir("/proc/self/fd")) == open_before - 2  # noqa: PTH208


async def test_sending_to_an_end_that_is_gone_is_not_an_error() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = channel_pair()
    closed = asyncio.Event()
    sender = Channel(loop, ours, lambda packet, sockets: None, closed.set)
    theirs.close()
    sender.send(b"into the void")
    async with asyncio.timeout(10):
        await closed.wait()
    sender.send(b"still nothing")
    sender.close()


@pytest.mark.parametrize("size", [1, 100_000])
async def test_packets_of_every_size(size: int) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = channel_pair()
    recorder = Recorder()
    receiver = Channel(loop, theirs, recorder.packet, recorder.closed.set)
    sender = Channel(loop, ours, lambda packet, sockets: None, lambda: None)
    sender.send(b"y" * size)
    await recorder.wait_for_packets(1)
    assert recorder.packets == [b"y" * size]
    sender.close()
    receiver.close()

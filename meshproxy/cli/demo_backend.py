"""A small HTTP/1.1 server that answers its name: ``python -m meshproxy.cli.demo_backend NAME ADDRESS PORT``."""

from __future__ import annotations

import asyncio
import sys

MAX_HEAD = 65536


async def _serve_client(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            close = b"connection: close" in head.lower()
            body = f"{name}\n".encode()
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
                f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n".encode()
                + body
            )
            await writer.drain()
            if close:
                return
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return
    finally:
        writer.close()


async def serve(name: str, address: str, port: int) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(
        lambda reader, writer: _serve_client(name, reader, writer), address, port, limit=MAX_HEAD, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    except KeyboardInterrupt:
        pass

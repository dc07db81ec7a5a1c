"""The shop's front: asks ``http://api`` and shows what it says. It knows of no proxy, and listens on loopback."""

from __future__ import annotations

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError
from urllib.request import Request, urlopen

PASSED_ON = ("cookie", "traceparent", "tracestate", "baggage", "x-request-id")
"""What a program hands on of a request that it serves, so that both are one trace."""
GRACE = 2.0
"""Seconds for which it goes on after SIGTERM, when it has told that it is going: others may not know yet."""
leaving = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and a body, and nobody waits for the other's receipt

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(503 if leaving.is_set() else 200, b"leaving\n" if leaving.is_set() else b"ok\n")
            return
        headers = {name: value for name in PASSED_ON if (value := self.headers.get(name))}
        try:
            with urlopen(Request(f"http://api{self.path}", headers=headers), timeout=10) as response:
                self.answer(200, b"web > " + response.read())
        except (URLError, TimeoutError) as error:
            self.answer(502, f"web cannot reach api: {error}\n".encode())

    def answer(self, status: int, body: bytes) -> None:
        """Send it; the connection stays."""
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """The access log is the proxy's."""


def leave(*_: object) -> None:
    """Say that it is going, and go a little later."""
    leaving.set()
    threading.Timer(GRACE, server.shutdown).start()


server = ThreadingHTTPServer(("127.0.0.1", 8080), Handler)
signal.signal(signal.SIGTERM, leave)
server.serve_forever()

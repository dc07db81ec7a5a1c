"""The shop's API: counts visits in ``db``, a redis, and says which version it is. It knows of no proxy."""

from __future__ import annotations

import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("VERSION", "v1")


def visits() -> int:
    """How many there were, this one counted, as redis says (``:42``). Raises `OSError`."""
    with socket.create_connection(("db", 6379), 5) as connection:
        connection.sendall(b"INCR visits\r\n")
        with connection.makefile("rb") as answers:
            answer = answers.readline()
    if not answer.startswith(b":"):
        raise OSError(f"db answered {answer!r}")
    return int(answer[1:])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and a body, and nobody waits for the other's receipt

    def do_GET(self) -> None:
        try:
            status, body = 200, "ok" if self.path == "/healthz" else f"api {VERSION} > visit {visits()}"
        except OSError as error:
            status, body = 500, f"api cannot reach db: {error}"
        content = f"{body}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The access log is the proxy's."""


def leave(*_: object) -> None:
    """Its proxy has taken it out and finished what was open: nobody asks any more."""
    threading.Thread(target=server.shutdown).start()


server = ThreadingHTTPServer(("127.0.0.1", 8080), Handler)
signal.signal(signal.SIGTERM, leave)
server.serve_forever()

"""The image's health check: whether ``/readyz`` of the admin API says so. Run with ``-IS``, it takes 15 ms."""

import os
import socket
import sys

host, _colon, port = os.environ.get("MESHPROXY_ADMIN", "127.0.0.1:15000").rpartition(":")
try:
    with socket.create_connection((host.strip("[]"), int(port)), 2) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
except OSError as error:
    sys.exit(f"{host}:{port}: {error}")
head, _blank, body = answer.partition(b"\r\n\r\n")
sys.stdout.write(body.decode(errors="replace"))
sys.exit(head.split(b" ", 2)[1:2] != [b"200"])

"""Asks a running proxy's admin API. The standard library's client: a command starts fast."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from meshproxy.base.addresses import SocketAddress

TIMEOUT = 10.0
"""Seconds."""


class NoProxy(click.ClickException):
    """Nobody answers, or not any more."""


class AdminClient:
    """Failures end the command with one line that says what to do."""

    def __init__(self, address: SocketAddress, token_file: str | None) -> None:
        self._address = address
        self._token = Path(token_file).read_text().strip() if token_file else ""

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """The JSON answer to ``GET /api/v1/<path>``."""
        wanted = {key: value for key, value in (query or {}).items() if value is not None}
        return self._ask("GET", f"/api/v1/{path}" + (f"?{urlencode(wanted)}" if wanted else ""))

    def post(self, path: str) -> Any:
        """The JSON answer to ``POST /api/v1/<path>``."""
        return self._ask("POST", f"/api/v1/{path}")

    def follow(self, path: str) -> Iterator[tuple[str, Any]]:
        """The (event, JSON value) pairs of the Server-Sent Events at ``/api/v1/<path>``, until the proxy ends them."""
        connection = self._connection()
        try:
            with self._explaining_failures():
                connection.request("GET", f"/api/v1/{path}", headers=self._headers())
                response = connection.getresponse()
            if response.status != 200:
                self._answer(response.status, response.read())
            while True:
                with self._explaining_failures():
                    name, data, _ = (response.readline().decode() for _ in range(3))
                if not data:
                    return
                yield name.strip().removeprefix("event: "), json.loads(data.removeprefix("data: "))
        finally:
            connection.close()

    def _ask(self, method: str, target: str) -> Any:
        connection = self._connection()
        try:
            with self._explaining_failures():
                connection.request(method, target, headers=self._headers())
                response = connection.getresponse()
                body = response.read()
        finally:
            connection.close()
        return self._answer(response.status, body)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address.host, self._address.port, timeout=TIMEOUT)

    def _headers(self) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {"Content-Type": "application/json", "Accept": "application/json", **token}

    @contextmanager
    def _explaining_failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoProxy(
                f"no proxy answers at {self._address}: {reason.lower()}. "
                "Is it running? If its admin API is elsewhere, say so with --admin or MESHPROXY_ADMIN."
            ) from None

    def _answer(self, status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except ValueError:
            message = f"what answers at {self._address} is not a meshproxy admin API (HTTP {status})"
            raise click.ClickException(message) from None
        if status >= 400:
            hint = " (give it with --token-file)" if status == 401 else ""
            message = answer.get("error", "") if isinstance(answer, dict) else ""
            raise click.ClickException(f"{self._address} answers HTTP {status}: {message}{hint}")
        return answer

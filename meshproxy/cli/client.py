"""Asks a running proxy's admin API. The standard library's client: a command starts fast."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from meshproxy.base.addresses import SocketAddress

TIMEOUT = 10.0
"""Seconds."""


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

    def _ask(self, method: str, target: str) -> Any:
        connection = http.client.HTTPConnection(self._address.host, self._address.port, timeout=TIMEOUT)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, target, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise click.ClickException(
                f"no proxy answers at {self._address}: {reason.lower()}. "
                "Is it running? If its admin API is elsewhere, say so with --admin or MESHPROXY_ADMIN."
            ) from None
        finally:
            connection.close()
        return self._answer(response.status, body)

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

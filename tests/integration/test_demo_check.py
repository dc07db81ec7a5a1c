"""What a newcomer runs first."""

from __future__ import annotations

from tests.integration.proxy_process import run_meshproxy


async def test_demo_check_loses_no_request_and_shows_the_shares() -> None:
    status, output = await run_meshproxy("demo", "--check")
    assert status == 0, output
    assert "before" in output.lower()
    assert "after" in output.lower()

"""How ``make test`` shares the tests among processes, by pytest-xdist; a plain pytest does without it.

And how Hypothesis chooses examples: the same in each run. ``--hypothesis-profile=explore`` has it look for others.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long a busy machine takes is not what is tested.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("same")

MOST = 8
"""Processes: beyond this the longest lot decides how long it takes."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One more than there are CPUs, since tests wait as much as they compute."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return min(len(os.sched_getaffinity(0)) + 1, MOST)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadfile`` lots are shared: files, and files that belong together."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.support.lots_in_turn import LotsInTurn

    return LotsInTurn(config, log)

"""From an algorithm's name to the algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshproxy.balancing.api import Balancer
from meshproxy.balancing.least_connections import LeastConnections
from meshproxy.balancing.least_request import LeastRequest
from meshproxy.balancing.maglev import Maglev
from meshproxy.balancing.random_choice import RandomChoice
from meshproxy.balancing.round_robin import RoundRobin
from meshproxy.balancing.source_hash import SourceHash
from meshproxy.snapshot.model import Algorithm


def make_balancer(algorithm: Algorithm, random: Callable[[], float]) -> Balancer[Any]:
    """A balancer without members. `random` gives floats in [0, 1), as `random.random` does."""
    match algorithm:
        case Algorithm.ROUND_ROBIN:
            return RoundRobin(random)
        case Algorithm.LEAST_CONNECTIONS:
            return LeastConnections(random)
        case Algorithm.RANDOM:
            return RandomChoice(random)
        case Algorithm.LEAST_REQUEST:
            return LeastRequest(random)
        case Algorithm.SOURCE_HASH:
            return SourceHash()
        case Algorithm.MAGLEV:
            return Maglev()

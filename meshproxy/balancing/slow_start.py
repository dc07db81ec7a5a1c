"""How much of its weight an endpoint has that became usable a while ago (Envoy `SlowStartConfig`)."""

from __future__ import annotations


def ramped_weight(weight: int, age: float, window: float, aggression: float, min_weight_percent: float) -> int:
    """weight · max(min, (age / window) ^ (1 / aggression)), 1 at least; all of `weight` (above 0) after `window`.

    `age` and `window` are seconds. An age below 0, by a clock that went back, is 0.
    """
    if age >= window:
        return weight
    grown: float = (max(0.0, age) / window) ** (1 / aggression)
    factor = max(min_weight_percent / 100, grown)
    return max(1, round(weight * factor))

"""The weight of an endpoint by its age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.balancing.slow_start import ramped_weight


@pytest.mark.parametrize(
    ("age", "aggression", "least", "weight"),
    [
        (0, 1, 10, 10),
        (5, 1, 10, 10),
        (15, 1, 10, 25),
        (30, 1, 10, 50),
        (59.9, 1, 10, 100),
        (60, 1, 10, 100),
        (1e9, 1, 10, 100),
        (15, 2, 10, 50),
        (30, 0.5, 10, 25),
        (0, 1, 0, 1),
        (0, 1, 100, 100),
        (-5, 1, 10, 10),
    ],
)
def test_the_weight_grows_as_envoy_has_it(age: float, aggression: float, least: float, weight: int) -> None:
    assert ramped_weight(100, age, 60, aggression, least) == weight


ages = st.floats(-10, 1000)


@given(
    weight=st.integers(1, 65535),
    window=st.floats(0.001, 1e6),
    aggression=st.floats(0.001, 100),
    least=st.floats(0, 100),
    one=ages,
    other=ages,
)
def test_it_never_falls_and_is_never_nothing_nor_more_than_all(
    weight: int, window: float, aggression: float, least: float, one: float, other: float
) -> None:
    young, old = (ramped_weight(weight, age, window, aggression, least) for age in sorted((one, other)))
    assert 1 <= young <= old <= weight

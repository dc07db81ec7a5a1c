"""Rules for label selectors (Kubernetes' `ValidateLabelSelector`)."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding
from meshproxy.resources.selectors import LabelSelector, SelectorOperator

_WITH_VALUES = (SelectorOperator.IN, SelectorOperator.NOT_IN)


def check_selector(field: str, selector: LabelSelector) -> Iterator[Finding]:
    yield from values.labels(f"{field}.matchLabels", selector.match_labels)
    for index, requirement in enumerate(selector.match_expressions):
        where = f"{field}.matchExpressions[{index}]"
        yield from finding(f"{where}.key", values.label_key(requirement.key))
        if requirement.operator in _WITH_VALUES and not requirement.values:
            yield Finding(
                field=f"{where}.values", message=f"this field is required for operator: {requirement.operator}"
            )
        elif requirement.operator not in _WITH_VALUES and requirement.values:
            yield Finding(field=f"{where}.values", message=f"does not go with operator: {requirement.operator}")
        for number, value in enumerate(requirement.values):
            yield from finding(f"{where}.values[{number}]", values.label_value(value))


def keys_of(field: str, selector: LabelSelector) -> Iterator[tuple[str, str]]:
    """(field, key) of each label that `selector` looks at."""
    for key in selector.match_labels:
        yield f"{field}.matchLabels.{key}", key
    for index, requirement in enumerate(selector.match_expressions):
        yield f"{field}.matchExpressions[{index}].key", requirement.key

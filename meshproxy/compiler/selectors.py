"""Whether a LabelSelector selects something by its labels (Kubernetes `LabelSelectorAsSelector`)."""

from __future__ import annotations

from collections.abc import Mapping

from meshproxy.resources.selectors import LabelSelector, LabelSelectorRequirement, SelectorOperator


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """All requirements hold; an empty selector selects everything."""
    return selector.match_labels.items() <= labels.items() and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case SelectorOperator.IN:
            return value in requirement.values
        case SelectorOperator.NOT_IN:
            return value not in requirement.values  # a label that is missing is not in, either
        case SelectorOperator.EXISTS:
            return value is not None
        case SelectorOperator.DOES_NOT_EXIST:
            return value is None

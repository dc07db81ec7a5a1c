"""Durations and quantities as Kubernetes and Envoy people write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Self

_UNIT_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_TERM = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_MAX_SECONDS = Decimal(10 * 365 * 86400)

# Kubernetes `resource.Quantity`: decimal and binary suffixes.
_SUFFIX_FACTOR = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_MAX_QUANTITY = 2**63 - 1
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)", re.ASCII)


class Duration(float):
    """A length of time in seconds, written ``500ms``, ``1m30s`` or ``1h`` (Go's `time.ParseDuration`)."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one or more ``<number><unit>`` terms.

        Raises `ValueError` with a sentence for people: no unit, a sign, or more than ten years.
        """
        if text == "0":
            return cls(0.0)
        total, end = Decimal(0), 0
        for term in _TERM.finditer(text):
            if term.start() != end:
                break
            total += Decimal(term[1]) * _UNIT_SECONDS[term[2]]
            end = term.end()
        if not text or end != len(text):
            raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 500ms, 10s, 1m30s or 1h")
        if total > _MAX_SECONDS:
            raise ValueError(f"{text!r} is longer than ten years")
        return cls(total)

    def __str__(self) -> str:
        return format_duration(float(self))


class Quantity(int):
    """A whole number, written plainly or with a suffix: ``10k``, ``64Ki`` (Kubernetes `resource.Quantity`)."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``<number>[suffix]``.

        Raises `ValueError` where it is no whole, non-negative number, or is 2⁶³ or more, as Kubernetes does.
        """
        match = _QUANTITY.fullmatch(text)
        value = Decimal(match[1]) * _SUFFIX_FACTOR[match[2]] if match else Decimal("0.5")
        if value != value.to_integral_value():
            raise ValueError(
                f"{text!r} is not a quantity; write a whole number, with a suffix if you like: 500, 10k, 64Ki, 1Mi"
            )
        if value > _MAX_QUANTITY:
            raise ValueError(f"{text[:40]!r} is more than {_MAX_QUANTITY}, the largest quantity")
        return cls(int(value))


def format_duration(seconds: float) -> str:
    """The shortest way to write `seconds` that `Duration.parse` reads back."""
    if seconds == 0:
        return "0s"
    milliseconds = round(seconds * 1000, 6)
    if milliseconds != int(milliseconds):
        return f"{milliseconds:g}ms"
    rest, ms = divmod(int(milliseconds), 1000)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    terms = ((hours, "h"), (minutes, "m"), (secs, "s"), (ms, "ms"))
    return "".join(f"{count}{unit}" for count, unit in terms if count)

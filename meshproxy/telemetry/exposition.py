"""Prometheus' text format 0.0.4, and OpenMetrics 1.0, written line by line.

`prometheus_client` needs more than a second for 10,000 endpoints, during which the supervisor would
neither check health nor hear its workers; this needs a tenth of that. Its parser is the tests' oracle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def labels(names: Sequence[str], values: Sequence[str]) -> str:
    """``{name="value",…}``, escaped; empty where there are none. To be made once for all metrics that share it."""
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def with_label(text: str, name: str, value: str) -> str:
    """Label text that is not empty, with one label more, whose value needs no escaping."""
    return f'{text[:-1]},{name}="{value}"}}'


def family(name: str, kind: str, help_text: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    """The lines of one metric, from (labels, value) of each of its series."""
    yield f"# HELP {name} {help_text.translate(_HELP_ESCAPES)}\n"
    yield f"# TYPE {name} {kind}\n"
    for label_text, value in samples:
        yield f"{name}{label_text} {value}\n"


def open_family(
    name: str, kind: str, help_text: str, samples: Iterable[tuple[str, float]], exemplars: Mapping[str, str]
) -> Iterator[str]:
    """The same in OpenMetrics; `exemplars` are the ends of lines, by what follows the metric's name on them."""
    family_name = name.removesuffix("_total") if kind == "counter" else name
    yield f"# HELP {family_name} {help_text.translate(_ESCAPES)}\n"
    yield f"# TYPE {family_name} {kind}\n"
    for label_text, value in samples:
        yield f"{name}{label_text} {value}{exemplars.get(label_text, '')}\n"

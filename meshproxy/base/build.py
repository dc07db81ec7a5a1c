"""How this meshproxy was built."""

from __future__ import annotations

from importlib.util import find_spec


def is_compiled() -> bool:
    """Whether the data plane's hot modules are C extensions, made by mypyc (`setup.py`), and not Python source."""
    spec = find_spec("meshproxy.routing.router")
    return spec is not None and not (spec.origin or "").endswith(".py")


def describe_build() -> str:
    return "compiled" if is_compiled() else "pure Python"

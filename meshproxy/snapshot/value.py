"""The base of every snapshot value."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Immutable, compared by content; camelCase when encoded, as xDS has it in JSON."""

"""From what a Proxy document says to the sources that read it."""

from __future__ import annotations

from collections.abc import Sequence

from meshproxy.resources.sources import SourceSpec
from meshproxy.resources.update import Source


class Registries:
    """Makes the sources of `Proxy.spec.sources`. A registry may be read by several, each with its own state."""

    def __call__(self, spec: SourceSpec) -> Sequence[Source]:
        return ()

"""`meshproxy schema`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import click
import msgspec

from meshproxy.base.durations import Duration, Quantity
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources import KINDS
from meshproxy.resources.meta import Shape
from meshproxy.resources.policy import IPVS_ALIASES, Algorithm

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@click.command()
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """Print the JSON Schema of all kinds, or of KIND alone.

    Point an editor's YAML language server at the output, for completion and checks while
    you write.
    """
    kinds: dict[str, tuple[list[str], Any]] = {}
    for (api_version, name), shape in KINDS.items():
        kinds.setdefault(name, ([], shape))[0].append(api_version)
    if kind is not None:
        by_folded = {name.casefold(): name for name in kinds}
        if kind.casefold() not in by_folded:
            raise click.UsageError(f"there is no kind {kind}{did_you_mean(kind, kinds)}; there are {', '.join(kinds)}")
        kinds = {name: kinds[name] for name in (by_folded[kind.casefold()],)}
    click.echo(json.dumps(make_schema(kinds), indent=2))


def make_schema(kinds: dict[str, tuple[list[str], Any]]) -> dict[str, Any]:
    """A schema that takes a document of any of `kinds` (name → (apiVersions, struct))."""
    shapes = [shape for _, shape in kinds.values()]
    _, definitions = msgspec.json.schema_components(shapes, schema_hook=_special, ref_template="#/$defs/{name}")
    for name, (api_versions, _) in kinds.items():
        properties = definitions[name]["properties"]
        properties["apiVersion"] = {"enum": api_versions} if len(api_versions) > 1 else {"const": api_versions[0]}
        properties["kind"] = {"const": name}
    for struct, field, default in _special_defaults(shapes):
        definitions[struct]["properties"][field]["default"] = str(default)
    algorithm = definitions.get(Algorithm.__name__)
    if algorithm is not None:
        algorithm["enum"] = [*algorithm["enum"], *IPVS_ALIASES]
    choices = [{"$ref": f"#/$defs/{name}"} for name in kinds]
    return {"$schema": DIALECT, **({"anyOf": choices} if len(choices) > 1 else choices[0]), "$defs": definitions}


def _special_defaults(shapes: Sequence[Any]) -> Iterator[tuple[str, str, Any]]:
    """(struct, field, default) of fields whose defaults `msgspec` leaves out, in `shapes` and all that they hold."""
    for shape in shapes:
        for field in msgspec.structs.fields(shape):
            parts = [part for part in (field.type, *get_args(field.type)) if isinstance(part, type)]
            if field.default_factory is not msgspec.NODEFAULT and issubclass(parts[0], Duration | Quantity):
                yield shape.__name__, field.encode_name, field.default_factory()
            yield from _special_defaults([part for part in parts if issubclass(part, Shape)])


def _special(kind: type) -> dict[str, Any]:
    if issubclass(kind, Duration):
        return {"type": "string", "pattern": r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d))+)$"}
    if issubclass(kind, Quantity):
        return {"type": ["integer", "string"], "pattern": r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"}
    raise NotImplementedError(kind)

"""What a build says of itself."""

from __future__ import annotations

from click.testing import CliRunner

from meshproxy.base.build import is_compiled
from meshproxy.cli.main import main
from meshproxy.routing import router


def test_the_version_says_whether_it_is_compiled() -> None:
    compiled = not router.__file__.endswith(".py")
    assert is_compiled() is compiled
    output = CliRunner().invoke(main, ["--version"]).output
    assert output.strip().endswith("(compiled)" if compiled else "(pure Python)")

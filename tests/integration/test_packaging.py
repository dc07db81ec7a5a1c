"""What users install: an sdist, the wheel made of it, and the command in an environment that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path

import pytest

from meshproxy import __version__
from tests.meta.project import ROOT

NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "*.so", "results")


def _run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an sdist and a wheel, built of a copy of the source, without a network and not compiled."""
    directory = tmp_path_factory.mktemp("packaging")
    shutil.copytree(ROOT, directory / "source", ignore=NOT_SOURCE)
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(directory / "source"))
    _run(*command, environment=os.environ | {"MESHPROXY_COMPILE": "0"})
    return directory


def _wheel(built: Path) -> Path:
    return built / f"meshproxy-{__version__}-py3-none-any.whl"


def test_the_wheel_has_everything_and_no_more(built: Path) -> None:
    with zipfile.ZipFile(_wheel(built)) as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"meshproxy-{__version__}.dist-info/METADATA").decode())
    package = built / "source" / "meshproxy"
    files = {str(path.relative_to(package.parent)) for path in package.rglob("*") if path.is_file()}
    assert files == {name for name in names if ".dist-info/" not in name}
    assert "meshproxy/py.typed" in files
    assert f"meshproxy-{__version__}.dist-info/licenses/LICENSE" in names
    assert (metadata["Version"], metadata["License-Expression"]) == (__version__, "Apache-2.0")
    assert metadata["Requires-Python"] == ">=3.11"
    assert "# meshproxy" in str(metadata.get_payload())


def test_the_sdist_can_be_tested_and_has_no_secrets(built: Path) -> None:
    """All that is in a clone: tests and documents name the compose file, what it mounts, and the benchmarks."""
    with tarfile.open(built / f"meshproxy-{__version__}.tar.gz") as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    source = built / "source"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    secrets = {name for name in files if name.endswith((".key", ".pem", ".pyc"))}
    generated = {name for name in files if ".egg-info/" in name or name.startswith("build/")}
    assert {"docker-compose.yml", "deploy/compose/ca.py", "examples/basic/manifests.yaml", "setup.py"} <= files
    assert files - secrets - generated - names == set()
    assert not [name for name in names if name.endswith((".key", ".pem", ".so", ".pyc"))]


def test_the_command_works_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    """Beside it there is what it depends on, as this environment has it; `test_dependencies` says that this is all."""
    _run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path))
    python = tmp_path / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check")
    _run(*pip, "install", "--no-index", "--no-deps", "--no-compile", str(_wheel(built)))
    (packages,) = (tmp_path / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = str(tmp_path / "bin" / "meshproxy")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MESHPROXY"))}
    where = "import meshproxy; print(meshproxy.__file__)"
    installed = _run(str(python), "-I", "-c", where)
    assert Path(installed.strip()).is_relative_to(tmp_path)
    version = _run(command, "--version", environment=environment)
    assert version == f"meshproxy, version {__version__} (pure Python)\n"
    valid = _run(command, "validate", str(ROOT / "examples" / "basic"), environment=environment)
    assert valid.startswith("valid: ")
    _run(command, "demo", "--check", environment=environment)

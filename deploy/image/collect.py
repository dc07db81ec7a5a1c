"""Lays out a root directory with Python, what it needs of the system, and meshproxy: ``collect.py SITE_PACKAGES ROOT``.

Runs in the Dockerfile, with the Python that is laid out. What is left out is what meshproxy never imports.
"""

import compileall
import py_compile
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

OMITTED = (
    "config-*", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3", "pip*", "pydoc_data", "__pycache__",
    "setuptools*", "site-packages", "test", "tests", "tkinter", "turtle*", "*.a", "*.pyi", "*.pyx", "*.pxd",
    "_tkinter*",
)  # fmt: skip
SYSTEM = ("/bin/sh", "/etc/ssl/certs/ca-certificates.crt", "/etc/ld.so.cache")
"""A shell to look around with, what is trusted, and where the loader finds libraries."""

COMMAND = """\
#!/usr/bin/python3
from meshproxy.cli.main import main

main()
"""


def main(site_packages: Path, root: Path) -> None:
    """Everything that runs, and every library that it is linked with."""
    python = Path(sys.executable).resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    copy_tree(standard, root)
    installed = root / Path(site.getsitepackages()[0]).relative_to("/")
    shutil.copytree(site_packages, installed, ignore=shutil.ignore_patterns(*OMITTED, "bin"), dirs_exist_ok=True)
    compileall.compile_dir(
        root, quiet=1, stripdir=root, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    programs = [python, *(Path(path) for path in SYSTEM if Path(path).exists())]
    for program in programs:
        copy(program, root)
    objects = [*programs, *root.rglob("*.so*")]
    for library in linked(objects):
        copy(library, root)
    link = root / "usr/bin/python3"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(python)
    command = root / "usr/local/bin/meshproxy"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(COMMAND)
    command.chmod(0o755)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/:/bin/sh\nmeshproxy:x:65532:65532:meshproxy:/var/lib/meshproxy:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nmeshproxy:x:65532:\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")


def copy_tree(directory: Path, root: Path) -> None:
    """The directory at the same place below `root`."""
    shutil.copytree(
        directory, root / directory.relative_to("/"), ignore=shutil.ignore_patterns(*OMITTED), symlinks=False
    )


def copy(path: Path, root: Path) -> None:
    """The file at the same place below `root`, whatever links lead to it."""
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(path, target)


def linked(objects: list[Path]) -> set[Path]:
    """The shared libraries that `objects` need, the loader among them, and those that glibc opens by name."""
    found = set()
    for each in objects:
        output = subprocess.run(["ldd", each], capture_output=True, text=True, check=False).stdout
        words = (word for line in output.splitlines() for word in line.split())
        found |= {Path(word) for word in words if word.startswith("/") and Path(word).exists()}
    directories = {path.parent for path in found}
    return found | {path for each in directories for path in each.glob("libnss_*.so.2")}


main(Path(sys.argv[1]), Path(sys.argv[2]))

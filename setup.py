"""Builds the data plane's hot modules with mypyc, which halves the CPU time of a request (docs/benchmarks.md).

``MESHPROXY_COMPILE`` decides: ``auto``, the default, builds them where a C compiler is found, ``1`` wherever it is
and fails where they cannot be built, ``0`` never. An editable installation is for working on the source, and is built
with ``1`` only. The Python source is the fallback, and the same program.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

COMPILED = (
    "meshproxy/aio/timer_wheel.py",
    "meshproxy/balancing/*.py",
    "meshproxy/base/stable_hash.py",
    "meshproxy/dataplane/affinity.py",
    "meshproxy/dataplane/callers.py",
    "meshproxy/dataplane/chains.py",
    "meshproxy/dataplane/cluster.py",
    "meshproxy/dataplane/connection.py",
    "meshproxy/dataplane/descriptors.py",
    "meshproxy/dataplane/http/*.py",
    "meshproxy/dataplane/idle.py",
    "meshproxy/dataplane/listener.py",
    "meshproxy/dataplane/outliers.py",
    "meshproxy/dataplane/preface.py",
    "meshproxy/dataplane/pump.py",
    "meshproxy/dataplane/reactor.py",
    "meshproxy/dataplane/tally.py",
    "meshproxy/dataplane/tls/*.py",
    "meshproxy/dataplane/upstream.py",
    "meshproxy/identity/verification.py",
    "meshproxy/protocols/http1/*.py",
    "meshproxy/protocols/tls/*.py",
    "meshproxy/protocols/x509.py",
    "meshproxy/routing/*.py",
)
"""What a request or a connection passes through. `explain` is for people, and has time."""
NOT_COMPILED = ("meshproxy/routing/explain.py",)
GROUP = "meshproxy.compiled"
"""What the modules share becomes `meshproxy/compiled__mypyc*.so`: found wherever the package is."""
TO_COMPILE = ("mypy>=1.18", "msgspec>=0.19", "google-re2>=1.1.20240702")
"""mypyc, and what it must see the types of."""


def wish():
    """``0``, ``1`` or ``auto``; raises `SystemExit` for anything else."""
    value = os.environ.get("MESHPROXY_COMPILE", "auto")
    if value not in ("0", "1", "auto"):
        raise SystemExit(f"MESHPROXY_COMPILE is {value!r}: it may be 0, 1 or auto")
    return value


def is_wanted():
    """Whether to compile here."""
    if wish() == "auto":
        return shutil.which(os.environ.get("CC", "cc").split()[0]) is not None and "editable_wheel" not in sys.argv
    return wish() == "1"


def stay_python(why):
    """Say that nothing is compiled, and why; raises `SystemExit` where it was demanded."""
    if wish() == "1":
        raise SystemExit(f"meshproxy cannot be compiled: {why}")
    sys.stderr.write(f"meshproxy is not compiled: {why}\n")
    return []


def extensions():
    """The modules as C extensions; none where they cannot be made, or need not be."""
    if not is_wanted() or "egg_info" in sys.argv:  # which only asks what is required
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        return stay_python("mypy is not installed")
    paths = sorted(str(path) for pattern in COMPILED for path in Path().glob(pattern) if path.name != "__init__.py")
    try:
        modules = mypycify(
            [path for path in paths if path not in NOT_COMPILED], opt_level="3", debug_level="0", group_name=GROUP
        )
    except SystemExit as error:  # how it says that it found a fault
        return stay_python(error)
    return modules


class AllOrNone(build_ext):
    """Where one module cannot be built none is: they are of no use without what they share."""

    def build_extensions(self):
        try:
            super().build_extensions()
        except CCompilerError as error:
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = stay_python(error)


setup(
    ext_modules=extensions(),
    setup_requires=TO_COMPILE if is_wanted() else (),
    cmdclass={"build_ext": AllOrNone},
)

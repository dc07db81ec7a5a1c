"""Builds the data plane's hot modules with mypyc when asked to: ``MESHPROXY_COMPILE=1 pip install .``

The Python source is the fallback, and the same program: without the variable, without a C compiler, or where
mypyc finds a fault, it is installed as it is.
"""

import os
import sys
from pathlib import Path

from setuptools import setup

COMPILED = (
    "meshproxy/aio/timer_wheel.py",
    "meshproxy/balancing/*.py",
    "meshproxy/base/stable_hash.py",
    "meshproxy/dataplane/affinity.py",
    "meshproxy/dataplane/cluster.py",
    "meshproxy/dataplane/connection.py",
    "meshproxy/dataplane/http/*.py",
    "meshproxy/dataplane/idle.py",
    "meshproxy/dataplane/listener.py",
    "meshproxy/dataplane/outliers.py",
    "meshproxy/dataplane/preface.py",
    "meshproxy/dataplane/pump.py",
    "meshproxy/dataplane/reactor.py",
    "meshproxy/dataplane/upstream.py",
    "meshproxy/protocols/http1/*.py",
    "meshproxy/routing/*.py",
)
"""What a request or a connection passes through. `explain` is for people, and has time."""
NOT_COMPILED = ("meshproxy/routing/explain.py",)


def extensions():
    """The modules as C extensions; none where they cannot be made."""
    if os.environ.get("MESHPROXY_COMPILE") != "1":
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        sys.stderr.write("mypy is not installed: the data plane stays Python\n")
        return []
    paths = sorted(str(path) for pattern in COMPILED for path in Path().glob(pattern) if path.name != "__init__.py")
    try:
        modules = mypycify([path for path in paths if path not in NOT_COMPILED], opt_level="3", debug_level="0")
    except SystemExit as error:  # how it says that it found a fault
        sys.stderr.write(f"the data plane stays Python: {error}\n")
        return []
    for module in modules:
        module.optional = True
    return modules


setup(ext_modules=extensions())

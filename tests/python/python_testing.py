# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package share.

They are pytest files that are run as scripts as well: `run_as_script(__name__, __file__)`, the first statement of each,
hands the file to pytest under a Python that has cffi, numpy and pytest, Debian's mostly, and its cases come out as TAP
(conftest.py), which tools/check/run_tests.py counts. Standard library only, since any Python may begin.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(ROOT, "build")))
PROGRAM = os.path.join(BUILD, "entrollm")
LIBRARY = os.path.join(BUILD, "libentrollm.so")
MODEL = os.path.join(ROOT, "models", "stories-4m")
GOLDEN = os.path.join(ROOT, "tests", "golden")

NEEDED = "import cffi, numpy, pytest"


def find_python():
    """A Python that has what is needed, or None."""
    for python in ("/usr/bin/python3", sys.executable):
        if os.path.exists(python) and subprocess.run([python, "-c", NEEDED], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def sanitized():
    """Is the library built with a sanitizer, whose run-time library Python does not have?"""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search(r"^ENTROLLM_SANITIZE:STRING=.+$", file.read(), re.MULTILINE) is not None


def environment(**more):
    """For a Python that imports the package from this tree, with the library of the build folder."""
    variables = dict(os.environ, PYTHONPATH=os.path.join(ROOT, "python"), ENTROLLM_LIBRARY=LIBRARY,
                     PYTHONDONTWRITEBYTECODE="1", BUILD_DIR=BUILD, **more)
    variables.pop("ENTROLLM_ISA", None)
    return variables


def run_as_script(name, file):
    if name != "__main__":
        return
    python = find_python()
    if python is None or sanitized():
        why = "python3-cffi, python3-numpy or python3-pytest is missing"
        if python:
            why = "the library is built with sanitizers"
        print(f"ok 1 - {os.path.basename(file)} # SKIP {why}")
        sys.exit(0)
    tap = os.dup(1)
    os.set_inheritable(tap, True)
    os.dup2(2, 1)  # what pytest itself says is no TAP
    os.execve(python, [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", os.path.dirname(file), file,
                       *sys.argv[1:]], environment(TAP_DESCRIPTOR=str(tap)))


def run_program(*arguments, stdin=b"", **more):
    """Standard output of the program, which must succeed."""
    p = subprocess.run([PROGRAM, *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                       **more)
    assert p.returncode == 0, p.stderr.decode(errors="replace")
    return p.stdout

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `pip install .` has put into an environment (tools/check/40-python.sh); in a source tree, what it would be."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from python_testing import *

run_as_script(__name__, __file__)

import cffi

import entrollm
from entrollm import _header

HEADER = os.path.join(ROOT, "include", "entrollm.h")
INSTALLED = "ENTROLLM_TEST_INSTALLED" in os.environ
FOLDER = os.path.dirname(os.path.abspath(entrollm.__file__))


def emitted(path):
    """The module that cffi makes of the header as it is now."""
    made = cffi.FFI()
    made.cdef(_header.read_header(HEADER).cdef)
    made.set_source("entrollm._declarations", None)
    made.emit_python_code(str(path))
    return path.read_text()


def test_declarations_are_current(tmp_path):
    text = emitted(tmp_path / "_declarations.py")
    assert "ellm_compress_options" in text
    if INSTALLED:
        with open(os.path.join(FOLDER, "_declarations.py"), encoding="utf-8") as file:
            assert file.read() == text
        from entrollm import _version

        assert _version.NUMBERS == _header.read_header(HEADER)[1:]
    else:  # nothing that was made lies in the source tree
        assert not [name for name in os.listdir(FOLDER) if name in ("_declarations.py", "_version.py") or ".so" in name]


def test_where_it_is():
    assert FOLDER.startswith(os.path.join(ROOT, "python")) != INSTALLED
    assert os.path.exists(os.path.join(FOLDER, "py.typed"))
    if INSTALLED:
        assert os.path.exists(os.path.join(FOLDER, f"libentrollm.so.{entrollm.ABI}"))
        from importlib import metadata

        assert metadata.version("entrollm") == entrollm.__version__
        assert {re.match(r"\w+", word).group() for word in metadata.requires("entrollm")} == {"cffi", "numpy"}


def test_the_version_stands_in_one_place():
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        assert 'dynamic = ["version"]' in file.read()
    for folder, names in ((os.path.join(ROOT, "python", "entrollm"), None), (ROOT, ["setup.py", "pyproject.toml"])):
        for name in names or os.listdir(folder):
            if name.endswith((".py", ".toml")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    assert entrollm.__version__ not in file.read(), name

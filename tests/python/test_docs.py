#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/PYTHON.md run, one after the other; what it lists is there."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from python_testing import *

run_as_script(__name__, __file__)

import inspect

import entrollm

with open(os.path.join(ROOT, "docs", "PYTHON.md"), encoding="utf-8") as file:
    TEXT = file.read()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_examples(tmp_path, monkeypatch, capsys):
    os.symlink(os.path.join(ROOT, "models"), tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) >= 10
    names, n = {}, 0
    for block in BLOCKS:
        code = compile(block, "docs/PYTHON.md", "exec")
        if not block.startswith("# takes "):
            exec(code, names)
            n += 1
    assert n >= len(BLOCKS) - 1 and capsys.readouterr().out.count("\n") > 20
    names["model"].close()


def test_arguments_are_documented():
    """Each argument of what is public stands in the text."""
    public = [entrollm.Model, entrollm.compress, entrollm.verify, entrollm.decompress, entrollm.Model.chat,
              entrollm.Model.tokenize, entrollm.Model.detokenize, entrollm.Model.logits]
    for function in public:
        for name in inspect.signature(function).parameters:
            if name not in ("self", "how"):
                assert re.search(rf"\b{name}\b", TEXT), f"{function.__name__}: {name}"
    for name in inspect.signature(entrollm.model._Request.__init__).parameters:
        assert re.search(rf"\b{name}\b", TEXT) or name in ("self", "opened"), name
    for name in entrollm.__all__:
        thing = getattr(entrollm, name)
        if inspect.isclass(thing) and issubclass(thing, entrollm.Error):
            assert f"`{name}`" in TEXT or name == "Error", name
            assert f"| {thing.status} |" in TEXT or name == "Error"
        assert not (inspect.isclass(thing) or inspect.isfunction(thing)) or inspect.getdoc(thing), name


def test_public_methods_have_texts():
    for kind in (entrollm.Model, entrollm.Stream, entrollm.Result):
        for name, thing in inspect.getmembers(kind, inspect.isfunction):
            assert name.startswith("_") or inspect.getdoc(thing), f"{kind.__name__}.{name}"

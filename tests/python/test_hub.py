# SPDX-License-Identifier: Apache-2.0
"""Models of the hub by name, against a hub on the loopback address: brought by the program, found without it."""

import logging
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from python_testing import MODEL, PROGRAM, ROOT, run_as_script

run_as_script(__name__, __file__)

import pytest

import entrollm

sys.path.insert(0, os.path.join(ROOT, "tests", "hub"))
from hub_testing import Hub, Repository, environment, model_files


@pytest.fixture(scope="module")
def hub():
    made = Hub()
    made.repositories["own/stories"] = Repository(model_files())
    made.repositories["own/several"] = Repository({"a-q8.gguf": b"GGUF a", "b-q4.gguf": b"GGUF b",
                                                   "README.md": b"card"})
    return made


@pytest.fixture
def home(hub, monkeypatch, tmp_path):
    for name, value in environment(hub, str(tmp_path)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ENTROLLM_PROGRAM", PROGRAM)
    hub.forget()
    return tmp_path


def without_program(monkeypatch):
    monkeypatch.delenv("ENTROLLM_PROGRAM")
    monkeypatch.setenv("PATH", "/nonexistent")


def test_a_model_by_name(hub, home, monkeypatch):
    with entrollm.Model(MODEL) as model:
        wanted = model.generate("Once upon a time", max_tokens=8, seed=1).text
    with entrollm.Model("hf:own/stories") as model:
        assert model.generate("Once upon a time", max_tokens=8, seed=1).text == wanted
        assert model.path.startswith(str(home)) and "/snapshots/" + "c" * 40 in model.path
        path = model.path
    assert hub.requests
    hub.forget()
    assert entrollm.inspect("hf:own/stories@main")["architecture"] == "LlamaForCausalLM"
    assert not hub.requests  # what is there is not asked for
    without_program(monkeypatch)
    with entrollm.Model("hf:own/stories") as model:
        assert model.path == path
    os.remove(os.path.join(path, "config.json"))
    with pytest.raises(entrollm.ResourceError, match="not in the cache.*the program that brings models"):
        entrollm.Model("hf:own/stories")


def test_compress_by_name(home, tmp_path):
    out = str(tmp_path / "stories.ellm")
    report = entrollm.compress("hf:own/stories", out, bits=8)
    assert report.file and entrollm.verify(out, against="hf:own/stories")


def test_one_file_of_several(home, monkeypatch):
    with pytest.raises(entrollm.UsageError, match="2 models in it.*a-q8.gguf, b-q4.gguf"):
        entrollm.Model("hf:own/several")
    for _ in range(2):  # with the program, and without
        with pytest.raises(entrollm.InputError, match="a-q8.gguf"):  # it is found, and is not a GGUF file
            entrollm.Model("hf:own/several:*q8*")
        without_program(monkeypatch)
        monkeypatch.setenv("ENTROLLM_PROGRAM", "")


def test_what_is_wrong(hub, home, monkeypatch):
    with pytest.raises(entrollm.ResourceError, match="own/none"):
        entrollm.Model("hf:own/none")
    for name in ("hf:", "hf:own", "hf:own/../x", "hf:own/x@..", "hf:-a/b/c"):
        with pytest.raises(entrollm.UsageError):
            entrollm.inspect(name)
    monkeypatch.setenv("ENTROLLM_PROGRAM", "/no/such/program")
    with pytest.raises(entrollm.ResourceError, match="/no/such/program cannot be run"):
        entrollm.Model("hf:own/stories")
    without_program(monkeypatch)
    for name in ("hf:", "hf:own", "hf:own/../x", "hf:own/x@..", "hf:own//x"):
        with pytest.raises(entrollm.UsageError):
            entrollm.inspect(name)
    with pytest.raises(entrollm.ResourceError, match="is not in the cache"):
        entrollm.Model("hf:own/other@v1:*.gguf")

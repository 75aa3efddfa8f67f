#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Making files and looking into them from Python: bytes and facts are the program's; progress, stops, errors."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from python_testing import *

run_as_script(__name__, __file__)

import json
import pathlib

import pytest

import entrollm


def read(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("case", [
    (["--bits", "8"], dict(bits=8)),
    (["--bits", "4", "--prefer", "size", "--keep", "*embed*", "--scheme", "asymmetric", "--no-assets"],
     dict(bits=4, prefer="size", keep="*embed*", scheme="asymmetric", assets=False)),
    (["--bits", "8", "--prefer", "speed", "--for", "avx512", "--include", "*.md"],
     dict(bits=8, prefer="speed", machine="avx512", include=["*.md"])),
    (["--code", "fields"], dict(code="fields")),
    (["--lossless"], dict(lossless=True)),
    (["--target-bpw", "4", "--calibrate", "none"], dict(target_bpw=4, calibrate="none")),
    (["--target-size", "150kB", "--calibrate", "none"], dict(target_size="150kB", calibrate="none", threads=1)),
    (["--calibrate", "none"], dict(calibrate="none")),
    (["--quality", "small", "--calibrate", "none"], dict(quality="small", calibrate="none")),
])
def test_compress_equals_the_program(small, tmp_path, case):
    words, options = case
    theirs, mine = str(tmp_path / "theirs.ellm"), tmp_path / "mine.ellm"
    told = json.loads(run_program("compress", small, "-o", theirs, "--json", "-q", *words))
    report = entrollm.compress(small, mine, **options)
    assert read(mine) == read(theirs)
    assert report.file == str(mine) and report.source_bytes == told["source_bytes"]
    assert report.totals == told["totals"] and report.tensors == told["tensors"] and report.assets == told["assets"]
    assert report.warnings == told["warnings"] and report.quality == told.get("quality")
    assert (report.plan is None) == (told.get("plan") is None)


def test_a_dry_run(small, tmp_path):
    report = entrollm.compress(pathlib.Path(small), bits=8, dry_run=True)
    assert report.file is None and report.totals["weights"] > 0
    entrollm.compress(small, tmp_path / "x.ellm", bits=8, dry_run=True)
    assert os.listdir(tmp_path) == []
    with pytest.raises(entrollm.UsageError, match="out is missing"):
        entrollm.compress(small)


def test_what_exists_is_not_replaced(small, tmp_path):
    out = tmp_path / "x.ellm"
    out.write_text("mine")
    with pytest.raises(FileExistsError) as exists:
        entrollm.compress(small, out, bits=8)
    assert isinstance(exists.value, entrollm.ExistsError) and out.read_text() == "mine"
    entrollm.compress(small, out, bits=8, force=True)
    assert entrollm.verify(out)


# ------------------------------------------------------------------ progress


def test_progress(folder, tmp_path):
    steps = []
    entrollm.compress(folder, tmp_path / "x.ellm", bits=8, progress=steps.append)
    assert steps and {step.stage for step in steps} <= {"analyse", "encode", "finish"}  # as many as there is time for
    assert all(step.unit == "bytes" and 0 <= step.done <= step.total for step in steps)
    assert all(step.fraction is None or 0 <= step.fraction <= 1 for step in steps) and "stage=" in repr(steps[0])
    steps.clear()
    entrollm.verify(tmp_path / "x.ellm", progress=steps.append)
    assert steps


def test_a_progress_callback_stops(small, tmp_path):
    out, calls = tmp_path / "x.ellm", []

    def stop(step):
        calls.append(step)
        return False

    with pytest.raises(entrollm.Interrupted) as stopped:
        entrollm.compress(small, out, bits=8, progress=stop)
    assert len(calls) == 1 and stopped.value.status == 130 and os.listdir(tmp_path) == []


class Mine(Exception):
    pass


def test_exceptions_of_callbacks_propagate(small, tmp_path, stories):
    def fail(step):
        raise Mine("in " + step.stage)

    with pytest.raises(Mine, match="in ") as raised:
        entrollm.compress(small, tmp_path / "x.ellm", bits=8, progress=fail)
    assert "fail" in [entry.name for entry in raised.traceback] and os.listdir(tmp_path) == []
    with pytest.raises(Mine):
        entrollm.verify(stories, progress=fail)
    with pytest.raises(Mine):
        entrollm.decompress(stories, tmp_path / "folder", progress=fail)
    assert os.listdir(tmp_path) == []
    with pytest.raises(SystemExit):
        entrollm.compress(small, tmp_path / "x.ellm", bits=8, progress=lambda step: sys.exit(3))


def test_notes(small):
    """A dry run to a size says how long measuring will take."""
    lines = []
    with pytest.raises(entrollm.Interrupted):
        entrollm.compress(small, dry_run=True, notes=lines.append, progress=lambda step: not lines)
    assert len(lines) == 1 and "measuring will take" in lines[0] and "\n" not in lines[0]

    def fail(line):
        raise Mine(line)

    with pytest.raises(Mine, match="measuring"):
        entrollm.compress(small, dry_run=True, notes=fail)


# ------------------------------------------------------- inspect, verify, back


def test_inspect_equals_the_program(folder, small, stories, tmp_path):
    sized = str(tmp_path / "sized.ellm")
    entrollm.compress(small, sized, target_bpw=4, calibrate="none")
    for path in (stories, sized, folder, small):
        assert entrollm.inspect(path) == json.loads(run_program("inspect", path))
    assert entrollm.inspect(sized)["quality"]["calibration"] == "none"
    part = os.path.join(ROOT, "tests", "golden", "container", "part.ellm")
    assert entrollm.inspect(part)["tensors"] == json.loads(run_program("inspect", part))["tensors"]
    with entrollm.Model(sized) as model:
        assert model.quality == entrollm.inspect(sized)["quality"]


def test_verify(stories, folder, tmp_path):
    good = entrollm.verify(stories, against=folder)
    assert good and good.ok and good.problems == [] and good.checked_bytes == os.path.getsize(stories)
    data = bytearray(read(stories))
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.ellm"
    damaged.write_bytes(data)
    bad = entrollm.verify(damaged)
    assert not bad and len(bad.problems) == 1 and "block" in bad.problems[0]
    with pytest.raises(entrollm.InputError):
        entrollm.verify(__file__)
    with pytest.raises(entrollm.InputError):
        entrollm.inspect(__file__)
    for function in (entrollm.verify, entrollm.inspect):
        with pytest.raises(OSError):
            function(tmp_path / "none")
    with pytest.raises(entrollm.UsageError):
        entrollm.verify(stories, requantize=True)


def test_decompress(stories, folder, tmp_path):
    out = tmp_path / "folder"
    entrollm.decompress(stories, out)
    assert read(out / "tokenizer.json") == read(os.path.join(folder, "tokenizer.json"))
    with pytest.raises(FileExistsError):
        entrollm.decompress(stories, out)
    entrollm.decompress(stories, out, dtype="f32", force=True)
    assert entrollm.inspect(out)["types"][0]["type"] == "F32"


# -------------------------------------------------------------------- errors

BAD = [
    (ValueError, dict(bits=1)), (ValueError, dict(bits=9)), (ValueError, dict(bits=2**70)), (TypeError, dict(bits=4.5)),
    (TypeError, dict(bits="8")), (ValueError, dict(scheme="x")), (TypeError, dict(scheme=1)),
    (ValueError, dict(code="")),
    (ValueError, dict(quality="x")), (TypeError, dict(quality=3)), (ValueError, dict(target_bpw=0)),
    (ValueError, dict(target_bpw=float("nan"))), (ValueError, dict(target_bpw=-1)), (TypeError, dict(target_bpw="4")),
    (ValueError, dict(target_size="much")), (ValueError, dict(target_size=0)), (ValueError, dict(target_size="-3MB")),
    (ValueError, dict(target_size=float("inf"))), (ValueError, dict(target_size=1)), (ValueError, dict(max_kl=0)),
    (ValueError, dict(max_kl=float("nan"))), (ValueError, dict(target_bpw=4, bits=8)),
    (ValueError, dict(target_bpw=4, quality="fine")), (ValueError, dict(lossless=True, bits=8)),
    (ValueError, dict(lossless=True, prefer="size")), (ValueError, dict(lossless=True, max_kl=1)),
    (ValueError, dict(bits=8, effort="full")), (ValueError, dict(bits=8, machine="neon")),
    (TypeError, dict(keep=3)), (TypeError, dict(keep=[3])), (ValueError, dict(keep="")), (TypeError, dict(force=1)),
    (TypeError, dict(progress=1)), (ValueError, dict(threads=-1)), (ValueError, dict(memory="1kB")),
    (TypeError, dict(plan=3)), (TypeError, dict(no_such=3)), (OSError, dict(calibrate="/no/such/file", effort="quick")),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_arguments(small, tmp_path, case):
    kind, arguments = BAD[case]
    with pytest.raises(kind) as raised:
        entrollm.compress(small, tmp_path / "x.ellm", **arguments)
    assert "\n" not in str(raised.value) and os.listdir(tmp_path) == []


def test_bad_paths(small, tmp_path):
    with pytest.raises((entrollm.ResourceError, entrollm.InputError)):
        entrollm.compress(tmp_path / "none", tmp_path / "x.ellm", bits=8)
    with pytest.raises(entrollm.ResourceError):
        entrollm.compress(small, tmp_path / "none" / "x.ellm", bits=8)
    for path in (None, 3, 4.5):
        with pytest.raises(TypeError):
            entrollm.compress(path, tmp_path / "x.ellm", bits=8)
        with pytest.raises(TypeError):
            entrollm.inspect(path)
    for path in ("", "a\0b"):
        with pytest.raises(ValueError):
            entrollm.verify(path)
    odd = os.fsencode(tmp_path) + b"/\xff.ellm"  # a name that is no UTF-8
    assert entrollm.compress(small, odd, bits=8).file == os.fsdecode(odd)
    assert entrollm.inspect(odd)["file"] == os.fsdecode(odd)
    assert entrollm.Model(odd).path == os.fsdecode(odd)

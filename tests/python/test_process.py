#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package in a process: threads, Ctrl-C, forks, memory, loading the library, declarations that are current."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from python_testing import *

run_as_script(__name__, __file__)

import resource
import shutil
import signal
import subprocess
import threading
import time

import pytest

import entrollm
from entrollm import _header, _library

ONCE = "Once upon a time"


def python(code, *arguments, variables=None, **more):
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=variables or environment(),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


# -------------------------------------------------------------------- threads


def run_threads(*functions):
    raised = []

    def guarded(function):
        try:
            function()
        except BaseException as wrong:  # shown by the main thread
            raised.append(wrong)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert raised == []


def test_two_models_in_two_threads(stories, folder, model):
    told = [model.generate(ONCE, max_tokens=60, seed=seed).ids for seed in range(2)]
    got = [None, None]
    with entrollm.Model(stories, threads=1) as one, entrollm.Model(stories, threads=1) as other:

        def work(index, mine):
            for _ in range(3):
                got[index] = mine.generate(ONCE, max_tokens=60, seed=index).ids

        run_threads(lambda: work(0, one), lambda: work(1, other))
    assert got == told


def test_one_model_in_many_threads(model):
    prompts = [ONCE, "The dog", "A cat", "There was", "In a house", "Mia had"]
    told = [model.generate(prompt, max_tokens=25, seed=3).text for prompt in prompts]
    logits = model.logits(model.tokenize(ONCE))
    got = {}

    def work(index):
        for _ in range(3):
            got[index] = "".join(model.generate(prompts[index], max_tokens=25, seed=3, stream=True))
            if index % 2:
                assert (model.logits(model.tokenize(ONCE)) == logits).all()
            if index % 3 == 0:
                next(model.generate(prompts[index], stream=True, logprobs=2))  # dropped

    run_threads(*(lambda i=i: work(i) for i in range(len(prompts))))
    assert [got[i] for i in range(len(prompts))] == told


def test_other_threads_run_meanwhile(model, monkeypatch):
    """The GIL is released in calls: one that takes long does not stop the main thread."""
    monkeypatch.setattr(entrollm.model, "_LOGITS_BATCH", 500)  # all of it is one call
    ids = (model.tokenize(ONCE) * 100)[:500]
    calls, done = 8, threading.Event()

    def work():
        for _ in range(calls):
            model.logits(ids, last=1)
        done.set()

    thread = threading.Thread(target=work)
    ticks, start = 0, time.monotonic()
    thread.start()
    while not done.is_set():
        time.sleep(0.0005)
        ticks += 1
    thread.join()
    assert ticks >= 5 * calls, f"{ticks} in {time.monotonic() - start:.2f} s"  # one or two a call if it were held


def test_a_model_is_closed_while_others_use_it(stories):
    for _ in range(10):
        closed = entrollm.Model(stories, threads=1)
        begun = threading.Event()

        def work():
            try:
                for piece in closed.generate(ONCE, max_tokens=None, ignore_eos=True, stream=True):
                    begun.set()
                    closed.tokenize(piece)
                    closed.logits([1, 2, 3])
            except entrollm.UsageError as told:
                assert "closed" in str(told)

        def close():
            assert begun.wait(60)
            closed.close()

        run_threads(work, work, close)


# --------------------------------------------------------------------- Ctrl-C

GENERATE = """
import sys, time, entrollm
model = entrollm.Model(sys.argv[1])
print("ready", flush=True)
try:
    while True:
        made = model.generate("Once upon a time", max_tokens=None, ignore_eos=True, stream=STREAM)
        for piece in made if STREAM else made.text:
            pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(model.generate("Once upon a time", max_tokens=5, temperature=0).text)  # it can be used on
"""
COMPRESS = """
import sys, os, entrollm
print("ready", flush=True)
try:
    while True:
        entrollm.compress(sys.argv[1], sys.argv[2], force=True, WHAT)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(sorted(name for name in os.listdir(os.path.dirname(sys.argv[2])) if name.endswith(".partial")))
"""


def interrupt(code, *arguments, after=0.4):
    """Starts it, sends SIGINT, and returns what it said and how long it took to say that it was interrupted."""
    with python(code, *arguments) as p:
        assert p.stdout.readline() == "ready\n", p.stderr.read()
        time.sleep(after)
        sent = time.monotonic()
        p.send_signal(signal.SIGINT)
        first = p.stdout.readline()
        took = time.monotonic() - sent
        rest, err = p.stdout.read(), p.stderr.read()
        assert p.wait(60) == 0 and first == "interrupted\n", err
        return rest, took


@pytest.mark.parametrize("stream", [False, True])
def test_ctrl_c_while_generating(stories, model, stream):
    rest, took = interrupt(GENERATE.replace("STREAM", str(stream)), stories)
    assert took < 2  # a token takes milliseconds; the machine may be busy
    assert rest == model.generate(ONCE, max_tokens=5, temperature=0).text + "\n"


@pytest.mark.parametrize("how", ["bits=8", "target_bpw=4, effort='full', progress=lambda step: None"])
def test_ctrl_c_while_compressing(folder, tmp_path, how):
    for after in (0.4, 0.8):
        rest, took = interrupt(COMPRESS.replace("WHAT", how), folder, str(tmp_path / "x.ellm"), after=after)
        assert took < 4 and rest == "[]\n"


def test_ctrl_c_while_another_thread_generates(model):
    """It reaches a main thread that waits for the model."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            model.generate(ONCE, max_tokens=50)

    thread = threading.Thread(target=work)
    thread.start()
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            while True:
                model.generate(ONCE, max_tokens=None, ignore_eos=True)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


# ------------------------------------------------------------- forks and ends


def test_after_a_fork(stories):
    model = entrollm.Model(stories)
    told = model.generate(ONCE, max_tokens=5).ids
    stream = model.generate(ONCE, stream=True)
    next(stream)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for use in (lambda: model.generate(ONCE), lambda: next(stream), lambda: model.logits([1])):
                try:
                    use()
                    os._exit(2)
                except entrollm.UsageError as refused:
                    assert "fork" in str(refused)
            stream.close()
            model.close()
            with entrollm.Model(stories) as own:
                status = 0 if own.generate(ONCE, max_tokens=5).ids == told else 3
            del model, stream
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert next(stream)
    model.close()


@pytest.mark.parametrize("end", ["", "os._exit(0)", "del model", "model.close()",
                                 "threading.Thread(target=lambda: list(model.generate('a', stream=True))).start()"])
def test_ends_of_a_process(stories, end):
    p = python("import sys, os, threading, entrollm\nmodel = entrollm.Model(sys.argv[1])\n"
               "stream = model.generate('Once', stream=True)\nnext(stream)\n" + end, stories)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0 and out == err == ""


# --------------------------------------------------------------------- memory


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_memory_does_not_grow(small, tmp_path):
    entrollm.compress(small, tmp_path / "small.ellm", bits=8)
    model = entrollm.Model(tmp_path / "small.ellm", threads=1)

    def round_of_work(n):
        for i in range(n):
            model.generate(ONCE, max_tokens=8, seed=i, stop=[" zebra"])
            next(model.generate("The dog", max_tokens=8, stream=True))
            model.chat([{"role": "user", "content": "hi"}], max_tokens=2, template="{{ messages[0].content }}")
            model.logits([1, 2, 3])
            model.detokenize(model.tokenize("some text"))
            with pytest.raises(ValueError):
                model.generate([5000])

    round_of_work(60)
    before = resident()
    round_of_work(200)
    assert resident() - before < 2 << 20


def test_memory_of_models_that_are_closed(stories):
    def opened(n):
        for i in range(n):
            model = entrollm.Model(stories, threads=2)
            next(model.generate(ONCE, stream=True))
            if i % 2:
                model.close()
        del model

    opened(10)
    before, files = resident(), len(os.listdir("/proc/self/fd"))
    opened(30)
    assert resident() - before < 4 << 20
    assert len(os.listdir("/proc/self/fd")) == files and threading.active_count() < 4


# ---------------------------------------------------------------- the library


def test_declarations_are_those_of_the_header():
    header = _header.read_header(os.path.join(ROOT, "include", "entrollm.h"))
    assert header.version == entrollm.__version__ == entrollm.library_version()
    assert run_program("--version").decode().split()[1] == entrollm.__version__
    assert header.abi == entrollm.ABI and os.path.exists(f"{LIBRARY}.{entrollm.ABI}")
    # every exported function is declared and there; sizes are those that the library was compiled with
    import glob
    import re

    text = ""
    for path in glob.glob(os.path.join(ROOT, "include", "*.h")):
        with open(path) as file:
            text += re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
    names = re.findall(r"^ELLM_API\s[^;{]*?\b(ellm_\w+)\s*\(", text, re.MULTILINE)
    assert len(names) > 100
    for name in names:
        assert getattr(_library.lib, name)
    for name in names:
        if name.endswith("_init"):
            memory = _library.ffi.new(name[:-5] + " *")
            getattr(_library.lib, name)(memory)
            assert memory.size == _library.ffi.sizeof(name[:-5]), name


def test_headers_that_are_not_understood(tmp_path):
    (tmp_path / "entrollm.h").write_text("#define ELLM_VERSION_MAJOR 0\n")
    with pytest.raises(ValueError, match="VERSION_MINOR"):
        _header.read_header(str(tmp_path / "entrollm.h"))


def import_with(library):
    p = python("import entrollm; print(entrollm.library_version())",
               variables=dict(environment(), ENTROLLM_LIBRARY=library))
    out, err = p.communicate(timeout=60)
    return out, err.strip().splitlines()[-1] if err else ""


def test_libraries_that_cannot_be_used(tmp_path):
    assert import_with(f"{LIBRARY}.{entrollm.ABI}") == (entrollm.__version__ + "\n", "")
    out, err = import_with(str(tmp_path / "none.so"))
    assert not out and err.startswith("ImportError: entrollm:") and "none.so cannot be loaded" in err
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "other.c"
    for code, told in (("int x;", "too old to tell its ABI number"),
                       ("int ellm_abi(void) { return 99; }", f"number 99, this package is made for {entrollm.ABI}")):
        source.write_text(code)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(tmp_path / "other.so"), str(source)], check=True)
        out, err = import_with(str(tmp_path / "other.so"))
        assert not out and err.startswith("ImportError: entrollm:") and told in err


def test_a_newer_library_writes_larger_structs():
    """An initializer sets the size of its own version; more than this package's header has is not passed on."""
    struct = _library.make_struct("ellm_request")
    assert struct.size == _library.ffi.sizeof("ellm_request") and struct.limit == 2**64 - 1


def test_nothing_but_cffi_and_numpy_is_needed():
    p = python("import sys, cffi, numpy, ctypes\nbefore = set(sys.modules)\nimport entrollm\n"
               "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))")
    out, err = p.communicate(timeout=60)
    assert set(out.split()) - {"numpy", "cffi", "pycparser", "ply", "_cffi_backend"} == {"entrollm"}, err

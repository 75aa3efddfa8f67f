# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the Python package, and their results as TAP where a script asks for it."""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from python_testing import GOLDEN, LIBRARY, MODEL, ROOT

if "PYTHONPATH" not in os.environ and "ENTROLLM_TEST_INSTALLED" not in os.environ:  # pytest was called by hand
    sys.path.insert(0, os.path.join(ROOT, "python"))
    os.environ.setdefault("ENTROLLM_LIBRARY", LIBRARY)

import entrollm

# A shell starts what is to run beside it with SIGINT ignored, which processes inherit: Python has no Ctrl-C then, nor would
# the processes that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

_counted = 0


def _say(line):
    descriptor = os.environ.get("TAP_DESCRIPTOR")
    if descriptor:
        os.write(int(descriptor), (line + "\n").encode("utf-8", "replace"))


def pytest_runtest_logreport(report):
    global _counted
    ended = report.when == "call" or (report.when == "setup" and not report.passed)
    if not ended and not (report.when == "teardown" and report.failed):
        return
    _counted += 1
    name = report.nodeid.split("::", 1)[-1].replace("#", "_")
    why = ""
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        why = " # SKIP " + " ".join(reason.split())
    _say(f"{'not ' if report.failed else ''}ok {_counted} - {name}{why}")


def pytest_sessionfinish(session, exitstatus):
    if exitstatus in (0, 1):
        _say(f"1..{_counted}")


@pytest.fixture(scope="session")
def folder():
    """The checkpoint of the embedded model."""
    return MODEL


@pytest.fixture(scope="session")
def small():
    """A checkpoint that is compressed in no time."""
    return os.path.join(GOLDEN, "models", "llama-tied-gqa")


@pytest.fixture(scope="session")
def stories(tmp_path_factory):
    """A .ellm file of the embedded model."""
    path = str(tmp_path_factory.mktemp("models") / "stories.ellm")
    entrollm.compress(MODEL, path, bits=8)
    return path


@pytest.fixture(scope="session")
def model(stories):
    with entrollm.Model(stories, threads=2) as opened:
        yield opened

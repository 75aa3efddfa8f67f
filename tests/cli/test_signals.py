#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Interruptions, closed pipes, full disks: clean ends, nothing half-written."""

import os
import resource
import shutil
import signal
import subprocess
import time

from cli_testing import *

large = large_checkpoint("large", 96)
out = tmp("out.ellm")


def start(*arguments, **more):
    return subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def wait_for(path, process, seconds=20):
    end = time.time() + seconds
    while time.time() < end and process.poll() is None:
        if os.path.exists(path):
            return True
        time.sleep(0.002)
    return False


def identity(path):
    facts = os.stat(path) if os.path.exists(path) else None
    return facts and (facts.st_ino, facts.st_size, facts.st_mtime_ns)


def interrupt(number, *arguments):
    """Signal a compress run to `out` at work. A busy machine may let it finish before: then again.
    Returns its status, what it said, and whether `out` is what it was."""
    for _ in range(20):
        before = identity(out)
        p = start("compress", "--bits", "8", large, "-o", out, "-t", "1", *arguments)
        wait_for(out + ".partial", p)
        p.send_signal(number)
        _, stderr = p.communicate(timeout=60)
        if p.returncode != 0:
            break
        if "--force" not in arguments:
            os.remove(out)
    return p.returncode, stderr, identity(out) == before


for number in (signal.SIGINT, signal.SIGTERM):
    status, stderr, same = interrupt(number)
    ok(status == INTERRUPTED, f"compress, {number.name}: status 130", f"status {status}, {stderr}")
    ok(stderr == b"entrollm: interrupted\n", "and one line", stderr)
    ok(same and not os.path.exists(out + ".partial"), "nothing is left behind")

status, stderr, same = interrupt(signal.SIGKILL)
ok(status == -signal.SIGKILL and same, "killed outright: there is no file under the name", (status, stderr))
run("compress", "--bits", "8", large, "-o", out, "-q", "--force")
ok(run("verify", out, "-q").returncode == 0, "and the next run writes a whole one")
status, stderr, same = interrupt(signal.SIGINT, "--force", "--bits", "4")
ok(status == INTERRUPTED and same, "interrupted --force: the old file is still there", (status, stderr))

p = start("run", "-m", MODEL, "-p", "Once upon a time", "--ignore-eos", "-n", "100000", "--temp", "1")
p.stdout.read(8)
p.send_signal(signal.SIGINT)
_, stderr = p.communicate(timeout=30)
ok(p.returncode in (INTERRUPTED, 0), "run, SIGINT", f"status {p.returncode}, {stderr}")

# More than a pipe holds: when all is written the program is reading, and its handlers are set.
p = start("tokenize", "-m", MODEL, stdin=subprocess.PIPE)
p.stdin.write(b"a" * (1 << 20))
p.stdin.flush()
p.send_signal(signal.SIGINT)
p.wait(timeout=30)
equal(p.returncode, INTERRUPTED, "tokenize waiting for input, SIGINT")
p.stdin.close()

# A reader that has gone away. It has done so before the program starts: one that goes later may find all written.
for arguments in (
    ["run", "-m", MODEL, "-p", "Once upon a time", "-n", "40", "-q"],
    ["inspect", out],
    ["tokenize", "-m", MODEL],
):
    reading, writing = os.pipe()
    os.close(reading)
    p = run(*arguments, stdout=writing)
    os.close(writing)
    ok(p.returncode == IO and p.stderr == b"", f"a closed pipe ends {arguments[0]} quietly", (p.returncode, p.stderr))

# Full disks.
with open("/dev/full", "wb") as full:
    for arguments in (
        ["inspect", out],
        ["--version"],
        ["run", "-m", MODEL, "-p", "a", "-n", "3", "-q"],
        ["tokenize", "-m", MODEL],
    ):
        p = run(*arguments, stdout=full)
        ok(
            p.returncode == IO and one_error_line(p) and b"standard output" in p.stderr,
            f"standard output full: {arguments[0]}",
            f"status {p.returncode}, {p.stderr}",
        )
p = run("inspect", out, preexec_fn=lambda: os.close(1))
ok(p.returncode == IO, "standard output closed", f"status {p.returncode}, {p.stderr}")
codes = tmp("codes")
p = run("inspect", out, "--tensor", "large.weight", "--codes", codes, preexec_fn=lambda: os.close(1))
ok(
    p.returncode == 0 and os.path.getsize(codes) == 96 * 512 * 1024,
    "nothing to say: a closed standard output does no harm",
    f"status {p.returncode}, {p.stderr}",
)


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


for arguments, path in (
    (["compress", "--bits", "8", MODEL, "-o", tmp("f.ellm")], tmp("f.ellm")),
    (["inspect", out, "--tensor", "large.weight", "--codes", tmp("f.codes")], tmp("f.codes")),
    (["decompress", out, "-o", tmp("f.dir")], os.path.join(tmp("f.dir"), "model.safetensors")),
):
    p = run(*arguments, preexec_fn=small_files)
    ok(
        p.returncode == IO and one_error_line(p),
        f"no room for the file: {arguments[0]}",
        f"status {p.returncode}, {p.stderr}",
    )
    ok(not os.path.exists(path) and not os.path.exists(path + ".partial"), "and nothing half-written is left")


def files(number):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


left, small = set(), tmp("small.ellm")
run("compress", "--bits", "8", MODEL, "-o", small, "-q")
for number in range(3, 12):
    p = run("decompress", small, "-o", tmp("few"), "-q", "-t", "1", preexec_fn=files(number))
    good = p.returncode == 0 or (p.returncode in (IO, 127) and p.stderr.count(b"\n") == 1)  # 127: no library opens
    ok(good, f"{number} open files at most", f"status {p.returncode}, {p.stderr}")
    left |= {name for name in os.listdir(TMP) if name.startswith("few") and p.returncode != 0}
    shutil.rmtree(tmp("few"), ignore_errors=True)
equal(left, set(), "and nothing is left")
done()

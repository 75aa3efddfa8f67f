#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Interruptions, closed pipes, full disks: clean ends, nothing half-written."""

import os
import resource
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


for number in (signal.SIGINT, signal.SIGTERM):
    p = start("compress", large, "-o", out, "-t", "1")
    seen = wait_for(out + ".partial", p)
    p.send_signal(number)
    _, stderr = p.communicate(timeout=30)
    ok(seen and p.returncode == INTERRUPTED, f"compress, {number.name}: status 130", f"status {p.returncode}, {stderr}")
    ok(stderr == b"entrollm: interrupted\n", "and one line", stderr)
    ok(not os.path.exists(out) and not os.path.exists(out + ".partial"), "nothing is left behind")

p = start("compress", large, "-o", out, "-t", "1")
seen = wait_for(out + ".partial", p)
p.kill()
p.communicate()
ok(seen and not os.path.exists(out), "killed outright: there is no file under the name")
run("compress", large, "-o", out, "-q", "--force")
ok(run("verify", out, "-q").returncode == 0, "and the next run writes a whole one")
before = read(out)
p = start("compress", large, "-o", out, "--force", "--bits", "4", "-t", "1")
wait_for(out + ".partial", p)
p.send_signal(signal.SIGINT)
p.communicate(timeout=30)
ok(p.returncode == INTERRUPTED and read(out) == before, "interrupted --force: the old file is still there")

p = start("run", "-m", MODEL, "-p", "Once upon a time", "--ignore-eos", "-n", "100000", "--temp", "1")
p.stdout.read(8)
p.send_signal(signal.SIGINT)
_, stderr = p.communicate(timeout=30)
ok(p.returncode in (INTERRUPTED, 0), "run, SIGINT", f"status {p.returncode}, {stderr}")

p = start("tokenize", "-m", MODEL, stdin=subprocess.PIPE)
time.sleep(0.5)
p.send_signal(signal.SIGINT)
p.wait(timeout=30)
equal(p.returncode, INTERRUPTED, "tokenize waiting for input, SIGINT")
p.stdin.close()

# A reader that goes away.
p = start("run", "-m", MODEL, "-p", "Once upon a time", "--ignore-eos", "-n", "400", "-q")
p.stdout.read(4)
p.stdout.close()
stderr = p.stderr.read()
p.wait(timeout=60)
ok(p.returncode == IO and stderr == b"", "a closed pipe ends run quietly", f"status {p.returncode}, {stderr}")
p = start("inspect", out)
p.stdout.close()
stderr = p.stderr.read()
p.wait(timeout=60)
ok(p.returncode == IO and stderr == b"", "and inspect", f"status {p.returncode}, {stderr}")

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
    (["compress", MODEL, "-o", tmp("f.ellm")], tmp("f.ellm")),
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
done()

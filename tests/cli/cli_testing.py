# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program share: running it, TAP output, small checkpoints. Standard library only."""

import atexit
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD_DIR", os.path.join(ROOT, "build")))
PROGRAM = os.path.join(BUILD, "entrollm")
MODEL = os.path.join(ROOT, "models", "stories-4m")
SHARED = os.path.join(ROOT, "..", "shared")
# Golden vectors: (folder, what the paths of inputs in its files are relative to), the project's own and a larger set.
GOLDEN_SETS = (os.path.join(ROOT, "tests", "golden"), ROOT), (os.path.join(SHARED, "golden"), SHARED)

USAGE, INPUT, IO, DIFFERENCE, INTERRUPTED = 2, 3, 4, 5, 130

TMP = tempfile.mkdtemp(prefix="entrollm-test-")
atexit.register(shutil.rmtree, TMP, ignore_errors=True)

_count = 0
_failed = 0


def ok(condition, name, detail=""):
    """One TAP line; the detail is shown when the test fails."""
    global _count, _failed
    _count += 1
    print(("ok " if condition else "not ok ") + f"{_count} - {name}")
    if not condition:
        _failed += 1
        for line in str(detail).splitlines()[:12]:
            print("# " + line[:300])
    sys.stdout.flush()
    return bool(condition)


def equal(got, want, name):
    return ok(got == want, name, f"got  {got!r}\nwant {want!r}")


def skip(name, why):
    global _count
    _count += 1
    print(f"ok {_count} - {name} # SKIP {why}")


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)


def tmp(name):
    return os.path.join(TMP, name)


def run(*arguments, stdin=b"", env=None, cwd=None, preexec_fn=None, timeout=120, stdout=subprocess.PIPE):
    """Run the program; arguments may be str or bytes. Returns a CompletedProcess with bytes."""
    environment = dict(os.environ)
    environment.pop("ENTROLLM_ISA", None)
    environment.update(env or {})
    return subprocess.run(
        [PROGRAM, *arguments],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=cwd,
        preexec_fn=preexec_fn,
        timeout=timeout,
    )


def run_json(*arguments, **more):
    """Run with --json; the object, or None after a failure (which is shown)."""
    p = run(*arguments, "--json", **more)
    if p.returncode != 0:
        print(f"# {arguments}: status {p.returncode}: {p.stderr.decode(errors='replace').strip()[:300]}")
        return None
    return json.loads(p.stdout)


def one_error_line(p):
    """Is standard error one line of the program, made of printable characters?"""
    text = p.stderr.decode("utf-8", "replace")
    return text.startswith("entrollm: ") and text.endswith("\n") and text.count("\n") == 1


def read(path):
    with open(path, "rb") as f:
        return f.read()


def read_safetensors(path):
    """name -> (dtype, shape, bytes)"""
    data = read(path)
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + n])
    body = data[8 + n :]
    return {
        k: (v["dtype"], v["shape"], body[v["data_offsets"][0] : v["data_offsets"][1]])
        for k, v in header.items()
        if k != "__metadata__"
    }


def write_safetensors(path, tensors):
    """tensors: name -> (dtype, shape, bytes)"""
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            f.write(data)


def copy_model(name, leave_out=()):
    """A copy of the embedded model's folder to change."""
    path = tmp(name)
    os.makedirs(path)
    for file in os.listdir(MODEL):
        if file not in leave_out:
            shutil.copy(os.path.join(MODEL, file), path)
    return path


def large_checkpoint(name, megabytes):
    """A folder with one large BF16 matrix of real weights, repeated: enough to be stopped at work."""
    path = tmp(name)
    os.makedirs(path)
    data = max((t[2] for t in read_safetensors(os.path.join(MODEL, "model.safetensors")).values()), key=len)
    columns = 1024
    rows = megabytes * 512
    repeated = (data * (rows * columns * 2 // len(data) + 1))[: rows * columns * 2]
    write_safetensors(os.path.join(path, "model.safetensors"), {"large.weight": ("BF16", [rows, columns], repeated)})
    return path

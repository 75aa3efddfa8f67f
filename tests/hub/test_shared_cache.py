#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One cache for this program and for huggingface_hub (brought from PyPI into a folder that goes away): each reads what
the other has pulled, and both go on with it. Skipped where PyPI is not reached."""

import importlib.util

from hub_testing import *

NAMES = ("we pull, huggingface_hub reads", "it pulls, we read")


def packages():
    """A folder with huggingface_hub in it, or None with the reason."""
    folder = tmp("packages")
    if importlib.util.find_spec("pip") is None:
        return None, "pip is not installed"
    p = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--target",
            folder,
            "--no-compile",
            "--timeout",
            "5",
            "--retries",
            "0",
            "--disable-pip-version-check",
            "huggingface_hub",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    return (
        (folder, "")
        if p.returncode == 0
        else (None, "PyPI is not reached: " + p.stdout.decode()[-100:].replace("\n", " "))
    )


folder, why = packages()
if folder is None:
    for name in NAMES:
        skip(name, why)
    done()

hub = Hub()
files = dict(model_files(), **{"additional_chat_templates/tool_use.jinja": b"{{ 1 }}"})
hub.repositories["own/stories"] = repository = Repository(files)
del files["SOURCES.tsv"], files["TRAINING.md"], files["unseen.txt"]
home = tmp("home")


def python(script):
    """Lines that a script with huggingface_hub prints, as values, and what it said."""
    env = dict(
        os.environ, **environment(hub, home, PYTHONPATH=folder, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
    )
    script = "import json\nfrom huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download\n" + script
    p = subprocess.run(
        [sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120
    )
    return [json.loads(line) for line in p.stdout.splitlines()] + [None] * 4, p.stderr.decode()[-600:]


def content(folder):
    return {name: read(os.path.join(folder, name)) for name in files_below(folder)} if folder else {}


# ------------------------------------------------------------------------------- ours
p = run("pull", "own/stories", env=environment(hub, home))
ours = p.stdout.decode().strip()
hub.forget()
got, said = python(
    "print(json.dumps(snapshot_download('own/stories', local_files_only=True)))\n"
    "print(json.dumps(hf_hub_download('own/stories', 'model.safetensors')))\n"
    "c = scan_cache_dir(); r = next(iter(c.repos)); v = next(iter(r.revisions))\n"
    "print(json.dumps([len(c.warnings), r.repo_id, v.commit_hash, sorted(v.refs), len(v.files), r.size_on_disk]))"
)
equal(os.path.realpath(got[0] or "/"), os.path.realpath(ours), NAMES[0] + ": the same folder without the network")
ok(got[1] == os.path.join(ours, "model.safetensors") and not hub.asked("content"), "and it brings no file again", said)
size = sum(len(data) for data in files.values())
equal(
    got[2],
    [0, "own/stories", repository.commit, ["main"], len(files), size],
    "its survey of the cache finds nothing wrong",
)

# ------------------------------------------------------------------------------ theirs
home = tmp("home-2")
got, said = python("print(json.dumps(snapshot_download('own/stories')))")
ok(content(got[0]) == files, NAMES[1], said)
hub.forget()
p = run("pull", "own/stories", "--json", env=environment(hub, home))
answer = json.loads(p.stdout or b"{}")
equal((answer.get("folder"), answer.get("bytes_fetched")), (got[0], 0), "we bring no file again")
p = run("tokenize", "-m", "hf:own/stories", stdin=b"Once", env=environment(hub, home, HF_HUB_OFFLINE="1"))
equal(
    (p.returncode, p.stdout),
    (0, run("tokenize", "-m", MODEL, stdin=b"Once").stdout),
    "-m hf: reads it without the network",
)

# A new commit: both move the ref, and what did not change is there once.
repository.commit, files["README.md"] = "d" * 40, b"another"
p = run("pull", "own/stories", "--json", env=environment(hub, home))
answer = json.loads(p.stdout or b"{}")
equal([f["name"] for f in answer.get("files", []) if f["fetched"]], ["README.md"], "of a new commit only what is new")
repository.commit, files["README.md"] = "e" * 40, b"a third"
hub.forget()
got, said = python("print(json.dumps(snapshot_download('own/stories')))\nprint(len(scan_cache_dir().warnings))")
ok(content(got[0]) == files and not hub.asked("content"), "and the same of it after us", said)
equal(got[1], 0, "its survey finds nothing wrong")
done()

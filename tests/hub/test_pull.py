#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entrollm pull and -m hf:OWNER/NAME against a hub on the loopback address: what is brought, the layout of the cache,
what stands in the way of a connection, and servers that lie."""

import random
import resource
import signal
import ssl
import tempfile
import time

from hub_testing import *

hub = Hub()
home = tmp("home")
MODEL_FILES = model_files()
noise = random.Random(7).randbytes
hub.repositories["own/stories"] = stories = Repository(
    dict(
        MODEL_FILES,
        **{
            "pytorch_model.bin": noise(100),
            "onnx/model.onnx": noise(100),
            "additional_chat_templates/tool_use.jinja": b"{{ 1 }}",
            "LICENSE": b"free",
            "NOTICE": b"",
        },
    )
)
CHOSEN = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
CHOSEN |= {"ATTRIBUTION_ccby.tsv", "README.md", "additional_chat_templates/tool_use.jinja", "LICENSE", "NOTICE"}


def pull(*arguments, at=home, env=None, **more):
    return run("pull", *arguments, env=environment(hub, at, **(env or {})), **more)


def pull_json(*arguments, **more):
    p = pull(*arguments, "--json", **more)
    if p.returncode != 0:
        print("# " + p.stderr.decode())
    return json.loads(p.stdout) if p.returncode == 0 else {}


def refused(name, status, text, *arguments, at=None, **more):
    """Ends with this status and one line that holds this text; no blob is left in the cache."""
    at = at or tempfile.mkdtemp(prefix="refused-", dir=TMP)
    p = pull(*arguments, at=at, **more)
    blobs = (
        [f for f in files_below(at) if "/blobs/" in f and not f.endswith(".incomplete")] if os.path.isdir(at) else []
    )
    message = p.stderr.decode("utf-8", "replace")
    ok(
        p.returncode == status and text in message.splitlines()[-1] and p.stdout == b"",
        name,
        f"status {p.returncode}: {message}",
    )
    return p, blobs


# --------------------------------------------------------------------- the layout
p = pull("own/stories")
folder = p.stdout.decode().strip()
cache = cache_of(home, "own/stories")
ok(
    p.returncode == 0 and folder == os.path.join(cache, "snapshots", stories.commit),
    "pull prints where it is",
    p.stderr,
)
equal(set(files_below(folder)), CHOSEN, "what a model needs, and nothing else")
equal(read(os.path.join(cache, "refs", "main")), stories.commit.encode(), "refs/main holds the commit")
links = {name: os.readlink(os.path.join(folder, name)) for name in CHOSEN}
want = {name: "../" * (2 + name.count("/")) + "blobs/" + stories.hash(name) for name in CHOSEN}
equal(links, want, "snapshots lead to blobs by relative links")
ok(all(read(os.path.join(folder, name)) == stories.files[name] for name in CHOSEN), "byte for byte")
equal(sorted(os.listdir(cache)), ["blobs", "refs", "snapshots"], "nothing else in the folder")
equal(files_below(os.path.join(home, "hub", ".locks")), [], "no lock is left")
ok(read(os.path.join(home, "hub", "CACHEDIR.TAG")).startswith(b"Signature: 8a477f597d28d172789f06886806bc55"), "tagged")

hub.forget()
got = pull_json("own/stories")
equal([r[1] for r in hub.requests], ["api"], "what is there is not asked for again")
equal((got["path"], got["bytes_fetched"], got["commit"]), (folder, 0, stories.commit), "--json says so")
equal({f["name"] for f in got["files"]}, CHOSEN, "--json lists the files")
p = pull("own/stories", "-q", at=tmp("quiet"))
ok(p.returncode == 0 and p.stderr == b"", "-q says nothing", p.stderr)

arguments = ["-p", "Once upon a time", "-n", "12", "--temp", "0"]
plain = run("run", "-m", MODEL, *arguments)
hub.forget()
from_hub = run("run", "-m", "hf:own/stories", *arguments, env=environment(hub, home))
equal((from_hub.returncode, from_hub.stdout), (0, plain.stdout), "run -m hf:OWNER/NAME says what the folder says")
equal(hub.requests, [], "without asking the hub, as all is there")
for command in (
    ["tokenize", "-m", "hf:own/stories"],
    ["inspect", "hf:own/stories"],
    ["compress", "hf:own/stories", "--bits", "8", "--dry-run"],
):
    p = run(*command, stdin=b"A text.", env=environment(hub, home, HF_HUB_OFFLINE="1"))
    ok(p.returncode == 0, " ".join(command) + " without the network", p.stderr)
p = run("run", "-m", "hf:own/stories", *arguments, env=environment(hub, tmp("fresh")))
equal((p.returncode, p.stdout), (0, plain.stdout), "a model that is not there is pulled")
p = run("run", "-m", "hf:own/stories", *arguments, env=environment(hub, tmp("none"), HF_HUB_OFFLINE="1"))
ok(p.returncode == IO and one_error_line(p), "not without the network", p.stderr)
p = pull("own/stories@v1:config.json", at=tmp("tag"))
ok(
    p.returncode == 0 and os.path.exists(os.path.join(cache_of(tmp("tag"), "own/stories"), "refs", "v1")),
    "@REVISION",
    p.stderr,
)
p = pull("own/stories@refs/pr/1", "--file", "*.json", "--file", "LICENSE", at=tmp("tag"))
got = files_below(p.stdout.decode().strip())
ok(
    set(got) == {n for n in stories.files if n.endswith(".json")} | {"LICENSE"},
    "--file GLOB, a branch with slashes",
    p.stderr,
)

# ---------------------------------------------------------------------- the token
secret = "hf_" + "s" * 30
stories.token = secret
hub.forget()
p = pull("own/stories", at=tmp("token"), env={"HF_TOKEN": secret})
ok(p.returncode == 0, "a private repository with a token", p.stderr)
ours = [r for r in hub.requests if r[0] == hub.port]
theirs = [r for r in hub.requests if r[0] == hub.store_port]
ok(ours and all(r[3].get("Authorization") == "Bearer " + secret for r in ours), "the hub gets the token")
ok(theirs and not any(secret in str(r[3]) for r in theirs), "the host that it sends to does not", theirs)
os.makedirs(tmp("token-file"), exist_ok=True)
with open(os.path.join(tmp("token-file"), "token"), "w") as f:
    f.write(secret + "\n")
ok(pull("own/stories", "--file", "LICENSE", at=tmp("token-file")).returncode == 0, "the token of HF_HOME/token")
refused("401 without a token", IO, "HF_TOKEN", "own/stories")
p, _ = refused("401 with one that is not right", IO, "does not accept", "own/stories", env={"HF_TOKEN": "wrong-one"})
ok(b"wrong-one" not in p.stderr, "which is not shown")
refused("a token with a line's end in it", USAGE, "token", "own/stories", env={"HF_TOKEN": "a\r\nX-Other: b"})
stories.token = None


def status(code, error="", headers=(), times=1000, kind="api"):
    left = [times]

    def fault(handler, now, name):
        if now != kind or left[0] == 0:
            return False
        left[0] -= 1
        handler.answer(code, b"{}", [("X-Error-Code", error), *headers])
        return True

    hub.requests, hub.fault = [], fault


status(403, "GatedRepo")
refused("403 gated", IO, "gated", "own/stories", env={"HF_TOKEN": secret})
status(401, "GatedRepo")
refused("401 gated", IO, "gated", "own/stories")
hub.forget()
refused("404", IO, "404", "own/nothing")
refused("404 of a revision", IO, "no such revision", "own/stories@v2")
status(429, headers=[("Retry-After", "1")], times=1)
start = time.monotonic()
ok(pull("own/stories").returncode == 0 and time.monotonic() - start >= 1, "429 waits as long as the hub asks")
status(429, headers=[("Retry-After", "100000")])
refused("429 for too long", IO, "wait 100000 s", "own/stories")
status(503, times=1, kind="file")
p = pull("own/stories", "--file", "LICENSE", at=tmp("503"))
ok(p.returncode == 0 and b"trying again" in p.stderr, "503 is tried again", p.stderr)
status(503)
refused("503 for ever", IO, "gave up after 2 tries", "own/stories", "--retries", "1")
equal(len(hub.asked("api")), 2, "as often as it may be")
hub.forget()

# ------------------------------------------------------------- connections and files
size = 3 << 20
hub.repositories["own/large"] = large = Repository({"config.json": b"{}", "model.safetensors": noise(size)})
blob = os.path.join("blobs", large.hash("model.safetensors"))


def cutting(times, kind="content", part=0.4):
    """Answers that end before their end."""
    left = [times]

    def fault(handler, now, name):
        if now != kind or left[0] == 0:
            return False
        left[0] -= 1
        whole = large.files["model.safetensors"]
        first = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        headers = [("Content-Range", f"bytes {first}-{size - 1}/{size}")] if first else []
        handler.answer(206 if first else 200, whole[first : first + int(size * part)], headers, size - first)
        handler.cut()
        return True

    hub.requests, hub.fault = [], fault


def right(at):
    return (
        read(os.path.join(cache_of(at, "own/large"), "snapshots", large.commit, "model.safetensors"))
        == large.files["model.safetensors"]
    )


cutting(2)
p = pull("own/large", at=tmp("cut"), env={})
ranges = [r[3].get("Range") for r in hub.asked("content")]
ok(
    p.returncode == 0 and right(tmp("cut")) and len(ranges) == 3 and None not in ranges[1:],
    "a connection that is cut twice is gone on with",
    f"{ranges} {p.stderr}",
)
cutting(1)
refused("a cut without retries", IO, "cut", "own/large", "--retries", "0", at=tmp("cut-0"))
part = os.path.getsize(os.path.join(cache_of(tmp("cut-0"), "own/large"), blob + ".incomplete"))
hub.forget()
got = pull_json("own/large", at=tmp("cut-0"))
equal(hub.asked("content")[0][3].get("Range"), f"bytes={part}-", "the next pull goes on where it stopped")
ok(
    right(tmp("cut-0")) and not os.path.exists(os.path.join(cache_of(tmp("cut-0"), "own/large"), blob + ".incomplete")),
    "to the right file",
)


def no_ranges(handler, kind, name):
    if kind == "content":
        handler.answer(200, large.files["model.safetensors"])
    return kind == "content"


def prepare_part(at, data):
    os.makedirs(os.path.join(cache_of(at, "own/large"), "blobs"))
    with open(os.path.join(cache_of(at, "own/large"), blob + ".incomplete"), "wb") as f:
        f.write(data)


whole = large.files["model.safetensors"]
hub.requests, hub.fault = [], no_ranges
prepare_part(tmp("no-ranges"), whole[:1000])
ok(pull("own/large", at=tmp("no-ranges")).returncode == 0 and right(tmp("no-ranges")), "a server without ranges")
hub.forget()
for name, data in (("spoilt", bytes(1000)), ("complete", whole), ("too-long", whole + b"x")):
    prepare_part(tmp(name), data)
    p = pull("own/large", at=tmp(name))
    ok(p.returncode == 0 and right(tmp(name)), f"a beginning of an earlier pull that is {name}", p.stderr)


def lies(data, headers=(), kinds=("content",), code=200):
    def fault(handler, kind, name):
        if kind in kinds:
            handler.answer(code, data, headers)
        return kind in kinds

    hub.requests, hub.fault = [], fault


lies(whole[:-1] + bytes([whole[-1] ^ 1]))
p, blobs = refused("another content than the hash says", INPUT, "SHA-256", "own/large")
ok(not [b for b in blobs if large.hash("model.safetensors") in b], "is not kept", blobs)
lies(b"[]", kinds=("file",))
hub.repositories["own/large"].files["config.json"] = b"{}"
refused("another small file", INPUT, "git's SHA-1", "own/large", "--file", "config.json")
lies(whole + b"more")
refused("more than the size", INPUT, "instead of", "own/large")
lies(b"x")
refused("less than the size", INPUT, "instead of", "own/large")
hub.forget()


# ------------------------------------------------------------------ where it is sent to
def location(url):
    return lambda: lies(b"", [("Location", url)], ("file", "head"), 302)


for name, url, text in (
    ("to a host without https", "http://192.0.2.1/x", "not by https"),
    ("to a file", "file:///etc/passwd", "redirects"),
    ("with a user's name", "https://user:pw@127.0.0.1:1/x", "user"),
    ("round and round", "?again", "endlessly"),
    ("to nowhere", "", "where to"),
):
    location(url)()
    refused("redirects " + name, INPUT, text, "own/large")
hub.forget()


# ----------------------------------------------------------------------- lying lists
def list_with(name, edit, text, **more):
    hub.repositories["own/liar"] = Repository(
        {"config.json": b"{}", "model.safetensors": noise(100)}, edit=edit, **more
    )
    outside = tmp("out-" + name.replace(" ", "-").replace("/", "_"))
    refused("a list: " + name, INPUT, text, "own/liar", at=os.path.join(outside, "a", "b"))
    stray = [f for f in files_below(outside) if not f.startswith("a/b/hub/")]
    ok(not stray, "nothing outside of the cache: " + name, stray)


def rename(path):
    return lambda answer: answer["siblings"][0].update(rfilename=path)


for path in (
    "../evil",
    "/tmp/evil",
    "a/../../evil",
    "a//b",
    "",
    ".",
    "a\\b",
    "a\nb",
    "x" * 300,
    "a/" * 600 + "b",
    None,
    7,
    "a\0b",
):
    list_with(f"a file called {str(path)[:20]!r}", rename(path), "no file may be called" if path != "a\0b" else "")
list_with("the commit", lambda a: a.update(sha="../../../evil"), "commit")
list_with("no commit", lambda a: a.update(sha=None), "commit")
list_with("no files", lambda a: a.update(siblings={}), "siblings")
list_with("a hash that is a path", lambda a: a["siblings"][0].update(blobId="../" * 13 + "a"), "hash")
list_with("a short SHA-256", lambda a: a["siblings"][1].update(lfs={"size": 1, "sha256": "a" * 40}), "hash")
list_with("a negative size", lambda a: a["siblings"][0].update(size=-1), "size")
list_with("a size beyond all", lambda a: a["siblings"][0].update(size=1 << 60), "size")
list_with("one file twice", lambda a: a["siblings"].append(a["siblings"][0]), "twice")
lies(b"<html>", kinds=("api",))
refused("a list that is a page", INPUT, "is not JSON", "own/large")
lies(b"[" * 100000, kinds=("api",))
refused("a list of brackets", INPUT, "is not JSON", "own/large")


def endless(handler, kind, name):
    handler.answer(200, b"", length=1 << 40)
    for _ in range(80):
        handler.wfile.write(bytes(1 << 20))
    return True


hub.requests, hub.fault = [], endless
refused("a list without end", INPUT, "64 MiB", "own/large")


def many_headers(handler, kind, name):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n")
    handler.cut()
    return True


hub.requests, hub.fault = [], many_headers
refused("headers without end", INPUT, "headers", "own/large")
hub.forget()

# ------------------------------------------------------------------- without sizes: HEAD
hub.repositories["own/plain"] = plain_list = Repository(dict(large.files), sizes=False)
got = pull_json("own/plain", at=tmp("head"))
equal((len(hub.asked("head")), got.get("bytes")), (2, size + 2), "a list without sizes: the files are asked for them")
for name, headers, text in (
    ("no commit", [("ETag", '"%s"' % git_hash(b"{}"))], "commit"),
    ("a path as its hash", [("X-Repo-Commit", "c" * 40), ("ETag", '"../../../../evil"')], "hash"),
    (
        "a size that is none",
        [("X-Repo-Commit", "c" * 40), ("X-Linked-Size", "1e9"), ("ETag", '"%s"' % git_hash(b"{}"))],
        "makes no sense",
    ),
):
    lies(b"{}", headers, ("head",))
    refused("HEAD says " + name, INPUT, text, "own/plain")
hub.forget()

# --------------------------------------------------------------------------- the disk
p, _ = refused(
    "a limit on the size of files",
    IO,
    "File too large",
    "own/large",
    at=tmp("limit"),
    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
)
ok(pull("own/large", at=tmp("limit")).returncode == 0 and right(tmp("limit")), "gone on with, once there is room")
hub.repositories["own/huge"] = Repository(
    {"model.safetensors": b"x", "config.json": b"{}"}, edit=lambda a: a["siblings"][0].update(size=1 << 49)
)
hub.forget()
refused("a disk without room", IO, "are free", "own/huge")
equal(hub.asked("file"), [], "which is seen before anything is brought")
with open(tmp("a-file"), "w") as f:
    f.write("x")
refused("a cache where a file is", IO, "a-file", "own/large", at=tmp("a-file"))


# ---------------------------------------------------------------- two at once, stopping
def halting(go_on):
    """The large file, its second half after go_on() has returned."""

    def fault(handler, kind, name):
        if kind != "content":
            return False
        first = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        headers = [("Content-Range", f"bytes {first}-{size - 1}/{size}")] if first else []
        handler.answer(206 if first else 200, whole[first : size // 2], headers, size - first)
        handler.wfile.flush()
        go_on()
        handler.wfile.write(whole[max(first, size // 2) :])
        return True

    return fault


def both_ask():
    for _ in range(1000):
        if len(hub.asked("api")) == 2:
            break
        time.sleep(0.01)
    time.sleep(0.7)


def start_pull(at):
    return subprocess.Popen(
        [PROGRAM, "pull", "own/large"],
        env=dict(os.environ, **environment(hub, at)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_part(at):
    partial = os.path.join(cache_of(at, "own/large"), blob + ".incomplete")
    for _ in range(3000):
        if os.path.exists(partial) and os.path.getsize(partial) >= size // 2:
            return True
        time.sleep(0.01)
    return False


hub.requests, hub.fault = [], halting(both_ask)
both = [start_pull(tmp("both")) for _ in range(2)]
ends = [p.communicate(timeout=60) + (p.returncode,) for p in both]
ok(all(e[2] == 0 for e in ends) and ends[0][0] == ends[1][0] and right(tmp("both")), "two pulls at once", ends)
equal(len(hub.asked("content")), 1, "bring the file once")
ok(any(b"another run" in e[1] for e in ends), "and the one that waits says so", ends)
for how, end in ((signal.SIGKILL, -9), (signal.SIGINT, INTERRUPTED)):
    at = tmp(f"stopped-{end}")
    gate = threading.Event()
    hub.requests, hub.fault = [], halting(lambda: gate.wait(30))
    process = start_pull(at)
    ok(wait_for_part(at), "a pull is under way")
    process.send_signal(how)
    process.communicate(timeout=30)
    equal(process.returncode, end, f"stopped by {how.name}")
    gate.set()
    hub.forget()
    p = pull("own/large", at=at)
    ok(p.returncode == 0 and right(at) and hub.asked("content")[0][3].get("Range"), "and gone on with", p.stderr)


def silent(handler, kind, name):
    time.sleep(6)
    return False


hub.requests, hub.fault = [], silent
start = time.monotonic()
refused(
    "a server that says nothing",
    IO,
    "Operation too slow",
    "own/large",
    "--retries",
    "0",
    env={"HF_HUB_DOWNLOAD_TIMEOUT": "1"},
)
ok(time.monotonic() - start < 5, "is not waited for")
hub.forget()

# ------------------------------------------------------------------ GGUF and .ellm files
gguf = {f"m-{q}.gguf": noise(n) for q, n in (("Q4_K_M", 300), ("Q8_0", 70000))}
gguf.update({f"big/m-F16-0000{i}-of-00003.gguf": noise(10 + i) for i in (1, 2, 3)})
gguf.update({"README.md": b"x", "mmproj-m.gguf": noise(20)})
hub.repositories["own/quants"] = Repository(gguf)
hub.forget()
p = pull("own/quants", at=tmp("gguf"))
lines = p.stderr.decode().splitlines()
ok(
    p.returncode == USAGE and "3 models" in lines[0] and p.stdout == b"",
    "several GGUF files: one must be chosen",
    lines,
)
equal(
    [line.split() for line in lines[2:]],
    [["36", "B", "big/m-F16-00001-of-00003.gguf"], ["300", "B", "m-Q4_K_M.gguf"], ["70.0", "kB", "m-Q8_0.gguf"]],
    "which are listed with their sizes, a set with that of all its parts",
)
p = pull("own/quants", "--file", "*Q4_K*", at=tmp("gguf"))
ok(p.returncode == 0 and p.stdout.endswith(b"/m-Q4_K_M.gguf\n"), "--file chooses, and its path is printed", p.stderr)
got = pull_json("own/quants:*F16*", at=tmp("gguf"))
ok(got.get("path", "").endswith("big/m-F16-00001-of-00003.gguf") and len(got["files"]) == 3, "a set is one model", got)
p = pull("own/quants", "--file", "*.bin", at=tmp("gguf"))
ok(
    p.returncode == USAGE and b"*.bin" in p.stderr and b"m-Q8_0.gguf" in p.stderr,
    "a pattern that matches nothing",
    p.stderr,
)
p = run("run", "-m", "hf:own/quants:m-Q*", "-p", "a", env=environment(hub, tmp("gguf-2")))
ok(p.returncode == USAGE and b"2 models" in p.stderr, "-m wants one model", p.stderr)
p = run("run", "-m", "hf:own/quants:m-Q8_0.gguf", "-p", "a", env=environment(hub, tmp("gguf-2")))
ok(p.returncode == INPUT and b"m-Q8_0.gguf" in p.stderr, "-m hf:OWNER/NAME:FILE opens that file", p.stderr)
run("compress", MODEL, "--bits", "8", "-o", tmp("m.ellm"), "-q")
hub.repositories["own/coded"] = Repository({"stories.ellm": read(tmp("m.ellm")), "README.md": b"x"})
p = run("run", "-m", "hf:own/coded", *arguments, env=environment(hub, tmp("coded")))
equal(
    (p.returncode, p.stdout),
    (0, run("run", "-m", tmp("m.ellm"), *arguments).stdout),
    "a repository with one .ellm file",
)

with open(tmp("text.txt"), "wb") as f:
    f.write(MODEL_FILES["unseen.txt"][:800])
for command in (
    ["compress", "hf:own/stories", "--bits", "8", "-o", tmp("m2.ellm"), "-q"],
    ["verify", tmp("m2.ellm"), "--against", "hf:own/stories"],
    ["verify", "hf:own/coded", "-q"],
    ["decompress", "hf:own/coded", "-o", tmp("back"), "-q"],
    ["logits", "-m", "hf:own/stories", "--ids", "1 2", "-o", tmp("logits"), "-q"],
    [
        "eval",
        "divergence",
        "-m",
        "hf:own/coded",
        "--reference",
        "hf:own/stories",
        "-f",
        tmp("text.txt"),
        "--ctx",
        "32",
        "-q",
    ],
):
    at = home if "hf:own/stories" in command else tmp("coded")
    if command[0] == "eval":
        ok(pull("own/coded").returncode == 0, "two models in one cache")
    p = run(*command, env=environment(hub, at, HF_HUB_OFFLINE="1"))
    ok(p.returncode == 0, " ".join(command).replace(TMP, "").replace(ROOT, ""), p.stderr)

# ------------------------------------------------------------------------------ shards
index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
shards = {name: noise(50) for name in [*index["weight_map"].values(), "consolidated.safetensors"]}
hub.repositories["own/shards"] = sharded = Repository(
    {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode(), **shards}
)
got = pull_json("own/shards", at=tmp("shards"))
equal(
    {f["name"] for f in got.get("files", [])},
    set(sharded.files) - {"consolidated.safetensors"},
    "the shards of an index",
)
os.remove(os.path.join(got["folder"], "model-00002-of-00002.safetensors"))
p = run("run", "-m", "hf:own/shards", "-p", "a", env=environment(hub, tmp("shards"), HF_HUB_OFFLINE="1"))
ok(p.returncode != 0 and b"model-00002-of-00002" in p.stderr, "a shard that is missing in the cache is seen", p.stderr)
run("run", "-m", "hf:own/shards", "-p", "a", env=environment(hub, tmp("shards")))
ok(os.path.exists(os.path.join(got["folder"], "model-00002-of-00002.safetensors")), "and brought")
index["weight_map"]["b"] = "../../evil.safetensors"
sharded.files["model.safetensors.index.json"] = json.dumps(index).encode()
refused("an index that names what is not there", INPUT, "evil", "own/shards")

# huggingface_hub's list of all files says what its interrupted download is missing
at = tmp("tree")
got = pull_json("own/stories", at=at)
os.makedirs(os.path.join(cache_of(at, "own/stories"), "trees"))
with open(os.path.join(cache_of(at, "own/stories"), "trees", stories.commit + ".json"), "w") as f:
    json.dump({"format_version": 1, "files": {name: {"size": 1, "blob_id": "a" * 40} for name in stories.files}}, f)
os.remove(os.path.join(got["folder"], "tokenizer_config.json"))
p = run("tokenize", "-m", "hf:own/stories", stdin=b"a", env=environment(hub, at, HF_HUB_OFFLINE="1"))
ok(p.returncode == IO and b"tokenizer_config.json" in p.stderr, "what another program did not finish is seen", p.stderr)
p = run("tokenize", "-m", "hf:own/stories", stdin=b"a", env=environment(hub, at))
ok(p.returncode == 0 and os.path.exists(os.path.join(got["folder"], "tokenizer_config.json")), "and brought", p.stderr)

# ------------------------------------------------------------------------------- https
made = (
    shutil.which("openssl")
    and subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            tmp("key.pem"),
            "-out",
            tmp("cert.pem"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ).returncode
    == 0
)
if made:
    secure = Server(("127.0.0.1", 0), Handler)
    secure.hub = hub
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp("cert.pem"), tmp("key.pem"))
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    threading.Thread(target=secure.serve_forever, args=(0.02,), daemon=True).start()
    over = {
        "HF_ENDPOINT": f"https://localhost:{secure.server_port}",
        "CURL_CA_BUNDLE": tmp("cert.pem"),
        "HF_TOKEN": secret,
    }
    stories.token = secret
    p = pull("own/stories:LICENSE", at=tmp("https"), env=over)
    ok(p.returncode == 0, "https with a certificate that is trusted", p.stderr)
    refused(
        "https with one that is not",
        IO,
        "certificate",
        "own/stories",
        env=dict(over, CURL_CA_BUNDLE="", SSL_CERT_FILE=""),
    )
    location(hub.endpoint + "/x")()
    refused(
        "from https to http on the loopback address: as the hub is there itself",
        IO,
        "404",
        "own/stories:LICENSE",
        env=over,
    )
    ok(
        not any(secret in str(r[3]) for r in hub.requests if r[0] == hub.port),
        "without the token: it is another origin",
    )
    stories.token = None
    hub.forget()
else:
    skip("https", "there is no openssl to make a certificate")

# ------------------------------------------------------------------------------- misuse
for name in (
    "stories",
    "own/",
    "/stories",
    "own/a/b",
    "own/..",
    "-own/a",
    "own/a--b",
    "own/a@",
    "own/a@../x",
    "own/a:../x",
    "own/a:",
    "own/a b",
    "own/" + "a" * 97,
    "http://x/y",
    "",
):
    p = pull(name)
    ok(p.returncode == USAGE and one_error_line(p), f"no name: {name[:20]!r}", p.stderr)
for endpoint, text in (
    ("ftp://127.0.0.1", b"endpoint"),
    ("http://user:pw@127.0.0.1", b"endpoint"),
    ("nonsense://", b"endpoint"),
):
    p = run("pull", "own/stories", env=dict(environment(hub, home), HF_ENDPOINT=endpoint))
    ok(p.returncode == USAGE and text in p.stderr, f"HF_ENDPOINT={endpoint}", p.stderr)
closed = socket.socket()
closed.bind(("127.0.0.1", 0))
start = time.monotonic()
p = run(
    "pull", "own/stories", env=dict(environment(hub, home), HF_ENDPOINT=f"http://127.0.0.1:{closed.getsockname()[1]}")
)
ok(
    p.returncode == IO and one_error_line(p) and b"cannot reach 127.0.0.1" in p.stderr and time.monotonic() - start < 5,
    "nobody there: said at once",
    p.stderr,
)
p = pull("own/stories", env={"HF_HUB_OFFLINE": "1"})
equal((p.returncode, p.stdout.decode().strip()), (0, folder), "HF_HUB_OFFLINE=1: what is in the cache")
hub.forget()
p = pull("own/stories", "--cached")
equal((p.returncode, p.stdout.decode().strip(), hub.requests), (0, folder, []), "--cached: the hub is not asked")
at = tmp("cached")
p = pull("own/stories", "--cached", at=at)
ok(p.returncode == 0 and os.path.exists(os.path.join(p.stdout.decode().strip(), "config.json")), "else it is brought", p.stderr)
ok(b"HF_TOKEN" in run("pull", "--help").stdout, "--help names the variables")
done()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--prompt-cache of run and chat: the same text as without, and only from a whole cache of the same model."""

import json
import os

from cli_testing import *

file, other, cache = tmp("stories.ellm"), tmp("other.ellm"), tmp("prompt.cache")
run("compress", "--bits", "8", MODEL, "-o", file, "-q")
run("compress", MODEL, "-o", other, "--bits", "4", "-q")
PROMPT = "Once upon a time there was a little dog who lived in a house by the sea"
SETTINGS = ["-m", file, "-n", "24", "--temp", "0.8", "--seed", "3", "--ignore-eos"]


def text(prompt, *more, settings=SETTINGS):
    """The ids and how many of the prompt came from the cache, or the failed run."""
    p = run("run", *settings, "-p", prompt, *more, "--json")
    if p.returncode != 0:
        return p
    result = json.loads(p.stdout)
    return result["ids"], result["cached_tokens"], result["prompt_tokens"]


def cached(prompt, *more, settings=SETTINGS, path=cache):
    return text(prompt, "--prompt-cache", path, *more, settings=settings)


for settings in (
    SETTINGS,
    [*SETTINGS, "--activations", "i8"],
    [*SETTINGS, "--kv-cache", "f32"],
    [*SETTINGS, "--kv-cache", "q8"],
    [*SETTINGS, "--activations", "f32"],
    ["-m", MODEL, *SETTINGS[2:]],
):
    path = tmp("c" + "-".join(settings[7:]) + str(settings[1] == MODEL))
    ids, kept, n = text(PROMPT, settings=settings)
    equal(cached(PROMPT, settings=settings, path=path), (ids, 0, n), f"made: the same text {settings[7:]}")
    made = read(path)
    equal(cached(PROMPT, settings=settings, path=path), (ids, n - 1, n), "used: the same text, one token is evaluated")
    equal(cached(PROMPT, "-t", "1", settings=settings, path=path)[0], ids, "with another number of threads, too")
    ok(read(path) == made, "and the file stays")
    os.remove(path)
    cached(PROMPT, "-t", "1", settings=settings, path=path)
    ok(read(path) == made, "the same prompt, the same bytes")

# Longer, shorter, other prompts.
ids, _, n = text(PROMPT)
cached(PROMPT)
longer = PROMPT + ". Every day it went out to play"
plain = text(longer)
equal(cached(longer), (plain[0], n, plain[2]), "a longer prompt: only the rest is evaluated")
equal(cached(longer)[1], plain[2] - 1, "then the file has all of it")
size = os.path.getsize(cache)
equal(cached(PROMPT)[:2], (ids, n - 1), "a prompt that it begins with")
equal(os.path.getsize(cache), size, "leaves the longer one")
branch = "Once upon a time there was a cat"
plain = text(branch)
got = cached(branch)
ok(got[0] == plain[0] and 0 < got[1] < plain[2], "another one: what both begin with is used", got)
equal(cached(branch)[1], plain[2] - 1, "and the file is of the new prompt")
p = run("run", *SETTINGS, "-n", "0", "-p", PROMPT, "--prompt-cache", cache, "-q")
equal((p.returncode, p.stdout, cached(PROMPT)[1]), (0, b"", n - 1), "-n 0 only fills it")
p = run("run", *SETTINGS, "-p", PROMPT, "--prompt-cache", cache)
ok(f"{n - 1} from the cache".encode() in p.stderr, "standard error says how much came from it", p.stderr)


# Longrope, whose keys change when the sequence crosses a length, and a sliding window.
def variant(name, **fields):
    path = copy_model(name)
    config = json.loads(read(os.path.join(path, "config.json")))
    config.update(fields)
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f)
    return path


longrope = variant(
    "longrope",
    original_max_position_embeddings=24,
    rope_parameters={
        "rope_theta": 10000.0,
        "rope_type": "longrope",
        "original_max_position_embeddings": 24,
        "short_factor": [1.0] * 16,
        "long_factor": [1.0 + i / 4 for i in range(16)],
    },
)
window = variant("window", architectures=["MistralForCausalLM"], model_type="mistral", sliding_window=8)
words = PROMPT.split()
for model in (longrope, window):
    name = os.path.basename(model)
    settings = ["-m", model, *SETTINGS[2:]]
    path = tmp(name + ".cache")
    # up to beyond the boundary and back, in prompts that begin alike and that branch off
    for prompt in (
        " ".join(words[:8]),
        PROMPT,
        PROMPT + " " + PROMPT,
        " ".join(words[:9]),
        PROMPT + " and",
        PROMPT * 3,
    ):
        plain = text(prompt, settings=settings)
        is_long = model == longrope and plain[2] > 24
        of_use = os.path.exists(path) and (read(path)[72] == 1) == is_long
        got = cached(prompt, settings=settings, path=path)
        ok(got[0] == plain[0] and plain[0], f"{name}: {plain[2]} tokens, {got[1]} of them restored", got)
        equal(got[1] > 0, of_use, "and what had to be computed anew is not counted")
    ok(plain[0] != text(PROMPT * 3, settings=["-m", MODEL, *SETTINGS[2:]])[0], f"{name} is another model")

# What does not belong together.
whole = read(cache)
for settings, word in (
    (["-m", other], b"another model"),
    (["-m", MODEL], b"another model"),
    (["-m", file, "--activations", "i8"], b"activations i16 (3), not i8"),
    (["-m", file, "--kv-cache", "f32"], b"KV cache of type f16 (2), not f32"),
    (["-m", file, "--kv-cache", "q8"], b"KV cache of type f16 (2), not q8"),
):
    p = cached(PROMPT, settings=settings)
    good = not isinstance(p, tuple) and p.returncode == INPUT and one_error_line(p) and word in p.stderr
    ok(good and not p.stdout, f"refused: {settings[2:] or os.path.basename(settings[1])}", p)
ok(read(cache) == whole, "and left as it is")
changed = copy_model("changed")
cached(PROMPT, settings=["-m", changed], path=tmp("folder.cache"))
config = os.path.join(changed, "config.json")
with open(config) as f:
    settings = json.load(f)
settings["rms_norm_eps"] = 1e-4
with open(config, "w") as f:
    json.dump(settings, f)
p = cached(PROMPT, settings=["-m", changed], path=tmp("folder.cache"))
ok(not isinstance(p, tuple) and p.returncode == INPUT and b"another model" in p.stderr, "a folder that was changed", p)

# Damage.
bad = tmp("bad.cache")


def refused(data, name):
    with open(bad, "wb") as f:
        f.write(data)
    p = run("run", "-m", file, "-p", PROMPT, "-n", "1", "-q", "--prompt-cache", bad)
    return (
        p.returncode == INPUT and one_error_line(p) and b"bad.cache" in p.stderr and not p.stdout and read(bad) == data
    )


lengths = sorted(
    {0, 1, 7, 8, 64, 127, 128, 129, 191, len(whole) // 3, len(whole) // 2, len(whole) - 64, len(whole) - 1}
)
wrong = [n for n in lengths if not refused(whole[:n], n)]
ok(not wrong, f"{len(lengths)} lengths of a cut file are refused", wrong)
ok(refused(whole + b"\0", "longer") and refused(whole + whole, "twice"), "longer ones, too")
places = [*range(0, 128, 5), 130, 200, *range(256, len(whole), len(whole) // 12), len(whole) - 1]
wrong = []
for at in places:
    data = bytearray(whole)
    data[at] ^= 1 << at % 8
    if not refused(bytes(data), at):
        wrong.append(at)
ok(not wrong, f"{len(places)} flipped bits are refused", wrong)
p = run("run", "-m", file, "-p", PROMPT, "-n", "1", "--prompt-cache", os.path.join(MODEL, "config.json"))
ok(p.returncode == INPUT and b"not a prompt cache" in p.stderr, "another file is not replaced", p.stderr)
p = run("run", "-m", file, "-p", PROMPT, "-n", "1", "--prompt-cache", "/nonexistent/cache")
ok(
    p.returncode == IO and one_error_line(p) and b"/nonexistent/cache" in p.stderr,
    "a folder that is not there",
    p.stderr,
)
p = run("run", "-m", file, "-p", PROMPT, "-n", "1", "--prompt-cache", TMP)
ok(p.returncode in (INPUT, USAGE, IO) and one_error_line(p), "a folder", p.stderr)
ok(not [f for f in os.listdir(TMP) if f.endswith(".partial")], "nothing half-written is left")

# In a chat.
talk = ["chat", "-m", file, "-n", "16", "--temp", "0", "--prompt-cache", cache]
os.remove(cache)
history = tmp("history.json")
first = run(*talk, stdin=f"Tell me a story.\n/save {history}\n".encode())
fresh = run(*talk[:-2], stdin=f"/load {history}\nAnd then?\n".encode())
again = run(*talk, stdin=f"/load {history}\nAnd then?\n".encode())
ok(
    first.returncode == 0 and again.stdout == fresh.stdout and again.stdout,
    "chat goes on with the same answer",
    again.stderr,
)


def new(p):
    return int(p.stderr.split(b" of them new")[0].split()[-1])


ok(new(again) < new(fresh), "and evaluates less", again.stderr)
p = run("chat", "-m", other, "--prompt-cache", cache, stdin=b"Hi\n")
ok(p.returncode == INPUT and one_error_line(p) and b"another model" in p.stderr, "a cache of another model", p.stderr)
done()

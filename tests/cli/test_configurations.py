#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Configurations as they are published: what Transformers lets through runs, what is wrong is said, turns end."""

import json
import os

from cli_testing import *

SHORT = ["-p", "Once upon a time", "-n", "12", "--temp", "0", "-t", "2"]


def edited(name, file, change):
    """A copy of the embedded model with one file's text changed."""
    folder = copy_model(name)
    path = os.path.join(folder, file)
    text = read(path).decode() if os.path.exists(path) else "{}"
    with open(path, "w") as f:
        f.write(change(text))
    return folder


def with_fields(fields):
    """Fields as text, put before the last brace: equal keys and numbers stay as they are written."""
    return lambda text: text.rstrip()[:-1] + "," + fields + "}"


def settings(**more):
    return lambda text: json.dumps({**json.loads(text), **more})


def words(model, *more):
    p = run("run", "-m", model, *SHORT, *more, "-q")
    return p.stdout if p.returncode == 0 else p.stderr


plain = words(MODEL)

# fields that are not read may hold whatever Python's json reads
for name, fields in {
    "big-integer": '"seed": 123456789012345678901234567890',
    "duplicate-key": '"hidden_act": "gelu", "hidden_act": "silu"',
    "not-finite": '"a": NaN, "b": [Infinity, -Infinity], "c": 1e999',
}.items():
    equal(words(edited("config-" + name, "config.json", with_fields(fields))), plain, f"config.json with {name}")
    folder = edited("tokenizer-config-" + name, "tokenizer_config.json", with_fields(fields))
    equal(words(folder), plain, f"tokenizer_config.json with {name}")
    equal(words(folder, "--chat"), words(MODEL, "--chat"), f"its template with {name}")
p = run("run", "-m", edited("read-field", "config.json", settings(rms_norm_eps=float("nan"))), *SHORT)
ok(p.returncode == 3 and b"config.json: rms_norm_eps is NaN" in p.stderr, "a field that is read is named", p.stderr)
ok(one_error_line(p), "in one line", p.stderr)

# defaults of sampling that make no sense
folder = edited("bad-top-k", "generation_config.json", settings(top_k=-1))
p = run("run", "-m", folder, *SHORT)
note = b"entrollm: note: " + folder.encode() + b"/generation_config.json: top_k is -1"
ok(p.returncode == 0 and p.stdout == run("run", *SHORT).stdout, "a bad top_k does not stop a model", p.stderr)
ok(p.stderr.startswith(note), "it is said", p.stderr)
ok(b"note" not in run("run", "-m", folder, *SHORT, "-q").stderr, "-q does not say it")
made = tmp("bad-top-k.ellm")
run("compress", folder, "-o", made, "--bits", "8", "-q")
ok(b"top_k is -1" in run("run", "-m", made, *SHORT).stderr, "it is said of a file, too")
folder = edited("cut-file", "generation_config.json", lambda text: text[:20])
p = run("run", "-m", folder, *SHORT)
ok(p.returncode == 0 and b"treated as missing" in p.stderr, "a cut generation_config.json is a note", p.stderr)

# what Transformers takes where nobody says anything
p = run("chat", "-m", MODEL, "-q", stdin=b"/set\n")
ok(b"top_k          50\n" in p.stderr + p.stdout, "top_k is 50 by default", p.stderr)
folder = edited("top-k-off", "generation_config.json", settings(top_k=0))
p = run("chat", "-m", folder, "-q", stdin=b"/set\n")
ok(b"top_k          0\n" in p.stderr + p.stdout, "top_k 0 is off", p.stderr)

# dynamic rotation is default up to the original length
rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
folder = edited("dynamic", "config.json", settings(rope_parameters=rope))
logits = [tmp("logits-default"), tmp("logits-dynamic")]
for model, out in zip([MODEL, folder], logits):
    run("logits", "-m", model, "--ids", "1 2 3 4 5", "-o", out)
equal(read(logits[1]), read(logits[0]), "rope_type dynamic gives the logits of default")
old = edited("dynamic-old", "config.json", lambda text: settings(rope_scaling={"type": "dynamic", "factor": 2.0})(text))
run("logits", "-m", old, "--ids", "1 2 3 4 5", "-o", logits[1])
equal(read(logits[1]), read(logits[0]), "in the older form, too")
p = run("logits", "-m", folder, "--ids", " ".join(["7"] * 600), "-o", tmp("too-long"))
ok(p.returncode == 3 and b"rope_type dynamic" in p.stderr, "beyond it is refused by name", p.stderr)

# the tokenizer's end token ends a turn as well
ids = run_json("run", "-m", MODEL, *SHORT, "--print-ids", "--ignore-eos")
vocabulary = json.loads(read(os.path.join(MODEL, "tokenizer.json")))["model"]["vocab"]
piece = {i: text for text, i in vocabulary.items()}
answer = ids["ids"][-12:]
end = next(i for i in answer if answer.index(i) >= 3)
for name, change in {
    "name": settings(eos_token=piece[end]),
    "object": settings(eos_token={"__type": "AddedToken", "content": piece[end], "special": True}),
    "decoder": settings(eos_token=piece[end], added_tokens_decoder={str(end): {"content": piece[end]}}),
}.items():
    folder = edited("eos-" + name, "tokenizer_config.json", change)
    result = run_json("run", "-m", folder, *SHORT)
    ok(result and result["end"] == "eos" and result["tokens"] == answer.index(end), f"eos_token by {name}", str(result))
    made = tmp(f"eos-{name}.ellm")
    run("compress", folder, "-o", made, "--bits", "8", "-q")
    equal(run_json("inspect", made)["eos_ids"], [0, 2, end], f"inspect shows all ids ({name})")
ok(f"ids that end a turn: 0 2 {end}\n".encode() in run("inspect", made, "--table").stdout, "in the table, too")
folder = edited("eos-unknown", "tokenizer_config.json", settings(eos_token="<|nowhere|>"))
p = run("run", "-m", folder, *SHORT)
ok(p.returncode == 0 and b"eos_token <|nowhere|> has no id" in p.stderr, "one without an id is a note", p.stderr)

# nobody says anything: the id of the architecture's class
folder = copy_model("class-eos", leave_out=("generation_config.json", "tokenizer_config.json"))
path = os.path.join(folder, "config.json")
values = json.loads(read(path))
values.pop("eos_token_id")
with open(path, "w") as f:
    json.dump(values, f)
made = tmp("class-eos.ellm")
run("compress", folder, "-o", made, "--bits", "8", "-q")
equal(run_json("inspect", made)["eos_ids"], [2], "LlamaConfig ends with 2")
run("compress", copy_model("no-config", leave_out=("config.json",)), "-o", tmp("no-config.ellm"), "--bits", "8", "-q")
equal(run_json("inspect", tmp("no-config.ellm"))["eos_ids"], None, "no ids of what cannot be run")

# the cases of the shared folder, where it is there
shared = os.path.join(ROOT, "..", "shared", "cases")
if os.path.isdir(shared):
    for case in ("config-big-integer", "config-duplicate-key", "generation-config-refuses-model", "rope-dynamic"):
        p = run("run", "-m", os.path.join(shared, case, "in"), "-p", "hi", "-n", "2", "-t", "1")
        ok(p.returncode == 0, f"case {case}", p.stderr)
    result = run_json("run", "-m", os.path.join(shared, "eos-tokenizer-union", "in"), "--chat", "-p", "hi", "-n", "12")
    ok(result and result["text"] == "OK" and result["end"] == "eos", "case eos-tokenizer-union", str(result))
    p = run("chat", "-m", os.path.join(shared, "sampling-top-k-default", "in"), "-q", stdin=b"/set\n")
    ok(b"top_k          50\n" in p.stderr + p.stdout, "case sampling-top-k-default", p.stderr)
else:
    skip("cases", "../shared is absent")
done()

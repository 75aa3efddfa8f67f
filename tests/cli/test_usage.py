#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Misuse and bad input: status, one line on standard error, nothing on standard output."""

import json
import os
import re
import struct

from cli_testing import *

M = MODEL
compressed = tmp("model.ellm")
p = run("compress", "--bits", "8", M, "-o", compressed, "-q")
ok(p.returncode == 0 and p.stdout == b"" and p.stderr == b"", "compress -q says nothing", p.stderr)

unreadable_as_model = tmp("noise.bin")
with open(unreadable_as_model, "wb") as f:
    f.write(bytes(range(256)) * 40)
empty_file = tmp("empty.bin")
open(empty_file, "wb").close()
empty_dir = tmp("empty-dir")
os.makedirs(empty_dir)
damaged = tmp("damaged.ellm")
data = bytearray(read(compressed))
data[len(data) // 2] ^= 0x10
with open(damaged, "wb") as f:
    f.write(data)
cut = tmp("cut.ellm")
with open(cut, "wb") as f:
    f.write(data[: len(data) - 1000])
short_text = tmp("short.txt")
with open(short_text, "wb") as f:
    f.write(b"Too short.\n")
plain_text = os.path.join(M, "unseen.txt")
full = tmp("full-dir")
os.makedirs(full)
with open(os.path.join(full, "x"), "wb") as f:
    f.write(b"x")


def changed(name, file, edit):
    """A model folder with one JSON file changed."""
    path = copy_model(name)
    target = os.path.join(path, file)
    with open(target) as f:
        value = json.load(f)
    edit(value)
    with open(target, "w") as f:
        json.dump(value, f)
    return path


unknown_arch = changed(
    "unknown-arch", "config.json", lambda c: c.update(architectures=["FluxForCausalLM"], model_type="flux")
)
wrong_shape = changed("wrong-shape", "config.json", lambda c: c.update(intermediate_size=512))
zero_heads = changed("zero-heads", "config.json", lambda c: c.update(num_attention_heads=0))
bad_eos = changed("bad-eos", "config.json", lambda c: c.update(eos_token_id="x"))
os.remove(os.path.join(bad_eos, "generation_config.json"))
whole = copy_model("whole")
no_tokenizer = copy_model("no-tokenizer", leave_out=("tokenizer.json",))
no_weights = copy_model("no-weights", leave_out=("model.safetensors",))
truncated = copy_model("truncated")
with open(os.path.join(truncated, "model.safetensors"), "r+b") as f:
    f.truncate(5000000)
bad_header = copy_model("bad-header")
with open(os.path.join(bad_header, "model.safetensors"), "r+b") as f:
    f.write(struct.pack("<Q", 1 << 62))
missing_shard = copy_model("missing-shard", leave_out=("model.safetensors",))
with open(os.path.join(missing_shard, "model.safetensors.index.json"), "w") as f:
    json.dump({"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}, f)
nan = tmp("nan")
os.makedirs(nan)
write_safetensors(
    os.path.join(nan, "model.safetensors"), {"a.weight": ("F32", [2, 2], struct.pack("<4f", 1, 2, float("nan"), 4))}
)

odd_name, long_name, outside, fifo = tmp("odd-name"), tmp("long-name"), tmp("outside"), tmp("fifo")
for folder, name in ((odd_name, "a\nb"), (long_name, "n" * 1025)):
    os.makedirs(folder)
    write_safetensors(os.path.join(folder, "model.safetensors"), {name: ("F32", [1, 1], bytes(4))})
os.makedirs(outside)
with open(os.path.join(outside, "model.safetensors.index.json"), "w") as f:
    json.dump({"weight_map": {"a": "../model.safetensors"}}, f)
os.mkfifo(fifo)

out = tmp("out.ellm")
CASES = [
    # arguments, status, what the message must hold
    (["frobnicate"], USAGE, "frobnicate"),
    (["inspct", compressed], USAGE, "inspect"),
    (["--frobnicate"], USAGE, "--frobnicate"),
    (["chta"], USAGE, "chat"),
    (["chat", "-m", M, "extra"], USAGE, "extra"),
    (["chat", "-m", M, "--temp", "-1"], USAGE, "temp"),
    (["chat", "-m", M, "--ctx", "1"], USAGE, "ctx"),
    (["chat", "-m", unreadable_as_model], INPUT, "noise.bin"),
    (["render"], USAGE, "render"),
    (["compress"], USAGE, "DIR"),
    (["compress", "--bits", "8", M], USAGE, "-o"),
    (["compress", "--bits", "8", M, "-o"], USAGE, "missing"),
    (["compress", "--bits", "8", M, "-o", out, "extra"], USAGE, "extra"),
    (["compress", M, "-o", out, "--bits", "9"], USAGE, "9"),
    (["compress", M, "-o", out, "--bits", "1"], USAGE, "from 2 to 8"),
    (["compress", M, "-o", out, "--bits", "4x"], USAGE, "4x"),
    (["compress", M, "-o", out, "--bits="], USAGE, "bits"),
    (["compress", M, "-o", out, "--bits", " 4"], USAGE, "bits"),
    (["compress", M, "-o", out, "--bitz", "4"], USAGE, "--bits"),
    (["compress", M, "-o", out, "--scheme", "odd"], USAGE, "symmetric"),
    (["compress", "--bits", "8", M, "-o", out, "--prefer", "beauty"], USAGE, "beauty"),
    (["compress", "--bits", "8", M, "-o", out, "--prefer", "speed", "--for", "pdp11"], USAGE, "pdp11"),
    (["compress", "--bits", "8", M, "-o", out, "--for", "avx2"], USAGE, "--prefer speed"),
    (["compress", M, "-o", out, "--code", "zip"], USAGE, "zip"),
    (["compress", "--bits", "8", M, "-o", out, "--force=yes"], USAGE, "no value"),
    (["compress", "--bits", "8", M, "-o", out, "-t", "0"], USAGE, "threads"),
    (["compress", "--bits", "8", M, "-o", out, "-t", "-1"], USAGE, "threads"),
    (["compress", "--bits", "8", M, "-o", out, "-t", "99999999999999999999"], USAGE, "threads"),
    (["compress", "--bits", "8", M, "-o", compressed], USAGE, "model.ellm"),
    (["compress", "--bits", "8", M, "-o", ""], USAGE, "empty"),
    (["compress", "--bits", "8", M, "-o", fifo, "--force"], IO, "not a regular file"),
    (["compress", "--bits", "8", "", "-o", out], IO, "without a name"),
    (["compress", "--bits", "8", odd_name, "-o", out], INPUT, "odd-name/model.safetensors: tensor a?b"),
    (["compress", "--bits", "8", long_name, "-o", out], INPUT, "long-name/model.safetensors: tensor nnn"),
    (["compress", "--bits", "8", outside, "-o", out], INPUT, '"../model.safetensors"'),
    (["compress", "--bits", "8", tmp("nowhere"), "-o", out], IO, "nowhere"),
    (["compress", "--bits", "8", empty_dir, "-o", out], INPUT, "empty-dir"),
    (["compress", "--bits", "8", compressed, "-o", out], INPUT, "model.ellm"),
    (["compress", "--bits", "8", truncated, "-o", out], INPUT, "model.safetensors"),
    (["compress", "--bits", "8", bad_header, "-o", out], INPUT, "model.safetensors"),
    (["compress", "--bits", "8", missing_shard, "-o", out], INPUT, "model-00001-of-00002.safetensors"),
    (["compress", "--bits", "8", nan, "-o", out], INPUT, "a.weight"),
    (["compress", "--bits", "8", M, "-o", tmp("no/such/folder/x.ellm")], IO, "x.ellm"),
    (["inspect"], USAGE, "FILE"),
    (["inspect", tmp("nowhere")], IO, "nowhere"),
    (["inspect", unreadable_as_model], INPUT, "noise.bin"),
    (["inspect", empty_file], INPUT, "empty.bin"),
    (["inspect", cut], INPUT, "cut.ellm"),
    (["inspect", M, "--tensor", "nope"], INPUT, "nope"),
    (["inspect", M, "--histogram", out], INPUT, "no codes"),
    (["inspect", compressed, "--tensor", "nope"], INPUT, "nope"),
    (["inspect", compressed, "--codes", out], USAGE, "--tensor"),
    (["inspect", compressed, "--tensor", "model.embed_tokens.weight", "--codes", compressed], USAGE, "replaced"),
    (["inspect", compressed, "--histogram", os.path.join(TMP, ".", "model.ellm")], USAGE, "replaced"),
    (["inspect", compressed, "--histogram", ""], USAGE, "empty"),
    (["inspect", compressed, "--tensor", "model.norm.weight", "--codes", out], INPUT, "model.norm.weight"),
    (["inspect", damaged, "--histogram", tmp("h.svg")], INPUT, "damaged.ellm"),
    (["verify"], USAGE, "FILE"),
    (["verify", tmp("nowhere")], IO, "nowhere"),
    (["verify", unreadable_as_model], INPUT, "noise.bin"),
    (["verify", compressed, "--against", tmp("nowhere")], IO, "nowhere"),
    (["decompress", compressed], USAGE, "-o"),
    (["decompress", compressed, "-o", full], USAGE, "full-dir"),
    (["decompress", compressed, "-o", tmp("d"), "--dtype", "i8"], USAGE, "bf16"),
    (["decompress", damaged, "-o", tmp("d1")], INPUT, "damaged.ellm"),
    (["decompress", compressed, "-o", tmp("no/such/d")], IO, "no/such/d"),
    (["run", "-m", M], USAGE, "-p"),
    (["run", "-m", M, "-p", "a", "--prompt-ids", "1"], USAGE, "together"),
    (["run", "-m", M, "-p", b"a\xff"], INPUT, "UTF-8"),
    (["run", "-m", M, "-p", "a", "--temp", "-1"], USAGE, "temp"),
    (["run", "-m", M, "-p", "a", "--temp", "nan"], USAGE, "temp"),
    (["run", "-m", M, "-p", "a", "--temp", "inf"], USAGE, "temp"),
    (["run", "-m", M, "-p", "a", "--temp", "0x1"], USAGE, "temp"),
    (["run", "-m", M, "-p", "a", "--top-p", "1.5"], USAGE, "top-p"),
    (["run", "-m", M, "-p", "a", "--seed", "-2"], USAGE, "seed"),
    (["run", "-m", M, "-p", "a", "--stop", ""], USAGE, "stop"),
    (["run", "-m", M, "-p", "a", "--stop", b"\xff"], INPUT, "UTF-8"),
    (["run", "-m", M, "-p", "a", "-t", "0"], USAGE, "threads"),
    (["run", "-m", M, "-p", "a", "--activations", "i8"], USAGE, "runs with f32"),
    (["run", "-m", M, "-p", "a", "--activations", "i4"], USAGE, "i4"),
    (["run", "-m", M, "-p", "a", "--kv-cache", "f16"], USAGE, "KV cache"),
    (["run", "-m", M, "-p", "a", "--kv-cache", "f8"], USAGE, "f8"),
    (["run", "-m", M, "--prompt-ids", "1", "--chat"], USAGE, "--chat"),
    (["run", "-m", M, "-p", "a", "-f", "b"], USAGE, "together"),
    (["run", "-m", M, "-p", "a", "--system", "b"], USAGE, "--chat"),
    (["run", "-m", M, "-f", tmp("no.txt")], IO, "no.txt"),
    (["run", "-m", M, "-p", "a", "-c", "0"], USAGE, "ctx"),
    (["run", "-m", M, "-p", "a", "-c", "1000000"], INPUT, "1000000"),
    (["run", "-m", M, "-p", "a", "-n", "-2"], USAGE, "tokens"),
    (["run", "-m", M, "-p", "a", "-e", "--stop", "\\x00"], USAGE, "x00"),
    (["run", "-m", M, "-p", "\\xff", "-e"], INPUT, "UTF-8"),
    (["run", "-m", M, "-p", "word " * 2000, "-n", "1"], INPUT, "512"),
    (["run", "-m", M, "--prompt-ids", "1 4096", "-n", "1"], INPUT, "4096"),
    (["run", "-m", M, "--prompt-ids", "1 x"], USAGE, "x"),
    (["run", "-m", M, "--prompt-ids", "4294967296"], USAGE, "4294967296"),
    (["run", "-m", M, "--prompt-ids", ""], INPUT, "no tokens"),
    (["run", "-m", tmp("nowhere"), "-p", "a"], IO, "nowhere"),
    (["run", "-m", empty_dir, "-p", "a"], INPUT, "empty-dir"),
    (["run", "-m", unreadable_as_model, "-p", "a"], INPUT, "noise.bin"),
    (["run", "-m", empty_file, "-p", "a"], INPUT, "empty.bin"),
    (["run", "-m", cut, "-p", "a"], INPUT, "cut.ellm"),
    (["run", "-m", damaged, "-p", "a", "-n", "2"], INPUT, "damaged.ellm"),
    (["run", "-m", unknown_arch, "-p", "a"], INPUT, "FluxForCausalLM"),
    (["run", "-m", wrong_shape, "-p", "a"], INPUT, "mlp"),
    (["run", "-m", zero_heads, "-p", "a"], INPUT, "num_attention_heads"),
    (["run", "-m", bad_eos, "-p", "a"], INPUT, 'bad-eos/config.json: eos_token_id is "x"'),
    (["run", "-m", no_tokenizer, "-p", "a"], INPUT, "tokenizer"),
    (["run", "-m", no_weights, "-p", "a"], INPUT, "no-weights"),
    (["run", "-m", truncated, "-p", "a"], INPUT, "model.safetensors"),
    (["perplexity", "-m", M], USAGE, "-f"),
    (["perplexity", "-m", M, "-f", tmp("nowhere")], IO, "nowhere"),
    (["perplexity", "-m", M, "-f", short_text], INPUT, "short.txt"),
    (["perplexity", "-m", M, "-f", plain_text, "--ctx", "513"], USAGE, "512"),
    (["perplexity", "-m", M, "-f", plain_text, "--ctx", "0"], USAGE, "ctx"),
    (["perplexity", "-m", M, "-f", plain_text, "--protocol", "e"], USAGE, "a, b, c, d"),
    (["perplexity", "-m", M, "-f", plain_text, "--stride", "3"], USAGE, "stride"),
    (["eval"], USAGE, "perplexity"),
    (["eval", "divergance"], USAGE, "divergence"),
    (["eval", "divergence", "-m", M, "-f", plain_text], USAGE, "--reference"),
    (["eval", "divergence", "-m", M, "--reference", M], USAGE, "-f"),
    (["eval", "divergence", "-m", M, "--reference", M, "-f", plain_text, "--save", out], USAGE, "--save"),
    (["eval", "divergence", "-m", M, "--reference", empty_file, "-f", plain_text], INPUT, "empty.bin"),
    (["eval", "hellaswag", "-m", M], USAGE, "-f"),
    (["eval", "hellaswag", "-m", M, "-f", plain_text], INPUT, "line 1"),
    (["eval", "choice", "-m", M], USAGE, "FILE.jsonl"),
    (["eval", "choice", "-m", M, plain_text], INPUT, "line 1"),
    (["perplexity", "-m", M, "-f", plain_text, "--state", plain_text], USAGE, "not an evaluation state"),
    (["eval", "frobnicate"], USAGE, "frobnicate"),
    (["tokenize", "-m", empty_dir], INPUT, "tokenizer.json"),
    (["tokenize", "-m", tmp("nowhere")], IO, "nowhere"),
    (["tokenize", "-m", unreadable_as_model], INPUT, "noise.bin"),
    (["tokenize", "-m", M, "extra"], USAGE, "extra"),
    (["detokenize", "-m", M, "--ids", "1 -2"], USAGE, "-2"),
    (["logits", "-m", M], USAGE, "--ids"),
    (["logits", "-m", M, "--ids", "1"], USAGE, "-o"),
    (["logits", "-m", M, "--ids", "", "-o", out], USAGE, "no ids"),
    (["logits", "-m", M, "--ids", "1 5000", "-o", out], INPUT, "5000"),
    (["logits", "-m", M, "--ids", "1 " * 513, "-o", out], INPUT, "512"),
    (["logits", "-m", M, "--ids", "1", "-o", tmp("no/such/f")], IO, "no/such/f"),
    (["logits", "-m", M, "--ids", "1", "-o", "/dev/full"], IO, "/dev/full"),
    (["logits", "-m", compressed, "--ids", "1", "-o", compressed], USAGE, "replaced"),
    (["logits", "-m", zero_heads, "--ids", "1", "-o", out], INPUT, "num_attention_heads"),
    (["logits", "-m", whole, "--ids", "1", "-o", os.path.join(whole, "config.json")], USAGE, "replaced"),
    (["bench", "--threads", "0"], USAGE, "threads"),
    (["bench", "kernel"], USAGE, "kernel"),
    (["bench", "model", "-m", M, "-d", "x"], USAGE, "x"),
    (["bench", "model", "-m", M, "-p", "0", "-n", "4", "-d", "4096"], USAGE, "512"),
]
for arguments, status, text in CASES:
    p = run(*arguments)
    shown = (
        " ".join(a if isinstance(a, str) else repr(a) for a in arguments).replace(TMP + "/", "").replace(ROOT + "/", "")
    )
    message = p.stderr.decode("utf-8", "replace")
    right = p.returncode == status if status is not None else p.returncode in (INPUT, IO)
    ok(
        right and one_error_line(p) and text in message and p.stdout == b"",
        f"status {status}: {shown[:100]}",
        f"status {p.returncode}, stdout {p.stdout[:100]!r}\nmessage: {message}",
    )
ok(not os.path.exists(out) and not os.path.exists(out + ".partial"), "nothing was written by all that")
ok(not [f for f in os.listdir(TMP) if f.endswith(".partial")], "no partial file was left")

p = run()
ok(p.returncode == USAGE and p.stdout == b"" and b"usage" in p.stderr, "no arguments: short help, status 2", p.stderr)
for words in (["--help"], ["-h"], ["help"]):
    p = run(*words)
    ok(p.returncode == 0 and p.stderr == b"" and b"compress" in p.stdout, f"{words[0]}", p.stderr)
p = run("--version")
ok(p.returncode == 0 and re.fullmatch(rb"entrollm \d+\.\d+\.\d+\n", p.stdout), "--version", p.stdout)
for command in (
    "pull",
    "compress",
    "inspect",
    "verify",
    "decompress",
    "run",
    "chat",
    "perplexity",
    "eval",
    "tokenize",
    "detokenize",
    "logits",
    "bench",
):
    p = run(command, "--help")
    ok(
        p.returncode == 0 and p.stderr == b"" and p.stdout.startswith(b"usage: entrollm " + command.encode()),
        f"{command} --help",
        p.stderr,
    )

p = run("--version", env={"ENTROLLM_ISA": "scalar"})
equal(p.returncode, 0, "ENTROLLM_ISA does not disturb --version")
p = run("inspect", compressed, env={"ENTROLLM_ISA": "vax"})
ok(
    p.returncode == USAGE and one_error_line(p) and b"vax" in p.stderr and p.stdout == b"",
    "ENTROLLM_ISA=vax is refused",
    p.stderr,
)

p = run("verify", damaged, "--json")
answer = json.loads(p.stdout)
ok(p.returncode == DIFFERENCE and answer["ok"] is False and answer["problems"], "verify finds the damage", p.stderr)
p = run("verify", cut, "--json")
answer = json.loads(p.stdout)
ok(
    p.returncode in (INPUT, DIFFERENCE) and answer["ok"] is False and answer["problems"],
    "verify of a cut file",
    p.stderr,
)

for name in ("no-tokenizer",):
    p = run("compress", "--bits", "8", tmp(name), "-o", tmp(name + ".ellm"))
    ok(p.returncode == 0 and b"tokenizer" in p.stderr, "an incomplete checkpoint is compressed with a note", p.stderr)
    p = run("run", "-m", tmp(name + ".ellm"), "-p", "a")
    ok(
        p.returncode == INPUT and one_error_line(p) and b"tokenizer" in p.stderr,
        "running it needs a tokenizer",
        p.stderr,
    )
    p = run("run", "-m", tmp(name + ".ellm"), "--prompt-ids", "0 449", "--print-ids", "-n", "3", "-q")
    ok(p.returncode == 0 and len(p.stdout.split()) == 3, "but not with ids", p.stderr)

if os.geteuid() != 0:
    locked = tmp("locked.ellm")
    with open(locked, "wb") as f:
        f.write(data)
    os.chmod(locked, 0)
    p = run("inspect", locked)
    ok(p.returncode == IO and one_error_line(p), "an unreadable file", p.stderr)
else:
    skip("an unreadable file", "root may read everything")
done()

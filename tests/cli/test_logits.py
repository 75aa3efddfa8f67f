#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`entrollm logits` and greedy `run` against golden ones of Transformers, and NaN or infinity among logits: an error everywhere."""

import array
import math

from cli_testing import *

models = {}
for folder, inputs in GOLDEN_SETS:
    path = os.path.join(folder, "models")
    for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
        models.setdefault(name, os.path.join(path, name))
ok("phi3-longrope" in models, "there are golden models", models)


def floats(data):
    values = array.array("f", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


for name, folder in sorted(models.items()):
    if not os.path.exists(os.path.join(folder, "golden.json")):
        continue
    with open(os.path.join(folder, "golden.json")) as f:
        golden = json.load(f)
    checkpoint = os.path.join(folder, golden.get("checkpoint") or ".")
    for i, item in enumerate(golden["runs"]):
        p = run("logits", "-m", checkpoint, "--ids", " ".join(map(str, item["prompt"])), "-o", "-")
        what = f"{name}, run {i}: the logits of all {len(item['prompt'])} positions"
        if p.returncode != 0:
            ok(False, what, p.stderr)
            continue
        got, want = floats(p.stdout), floats(read(os.path.join(folder, item["logits"])))
        worst = max(map(abs, (a - b for a, b in zip(got, want)))) if len(got) == len(want) else math.inf
        ok(worst <= 1e-4 * item["max_abs_logit"], what, f"{len(got)} and {len(want)} floats, difference {worst}")
        sure = 0  # tokens before the first that won narrowly
        while sure < len(item["greedy"]) and item["greedy_margins"][sure] >= 1e-3:
            sure += 1
        p = run("run", "-m", checkpoint, "--prompt-ids", " ".join(map(str, item["prompt"])), "-n", str(sure), "--temp",
                "0", "--ignore-eos", "--print-ids", "-q")
        equal(p.stdout.decode().split(), [str(n) for n in item["greedy"][:sure]],
              f"{name}, run {i}: {sure} greedy tokens")

# Weights that are finite and overflow: whoever looks at logits says so, with the position.
broken = copy_model("overflow")
weights = read_safetensors(os.path.join(MODEL, "model.safetensors"))
dtype, shape, data = weights["model.norm.weight"]
largest = {"BF16": b"\x7f\x7f", "F16": b"\xff\x7b", "F32": b"\xff\xff\x7f\x7f"}[dtype]
weights["model.norm.weight"] = dtype, shape, largest * (len(data) // len(largest))
write_safetensors(os.path.join(broken, "model.safetensors"), weights)
text = tmp("text.txt")
with open(text, "w") as f:
    f.write("Once upon a time there was a little girl who had a red ball. " * 40)
output = tmp("none.f32")
for command, position in (
    (("logits", "--ids", "0 449 453", "-o", output), b"position 0 "),
    (("run", "-p", "Once upon", "-n", "3", "--temp", "0.7"), b"position "),
    (("perplexity", "-f", text, "--ctx", "64"), b"position "),
    (("eval", "perplexity", "-f", text, "--ctx", "64"), b"position "),
):
    p = run(command[0], *command[1:2], "-m", broken, *command[2:]) if command[0] == "eval" else run(
        command[0], "-m", broken, *command[1:])
    equal(p.returncode, INPUT, f"{command[0]}: the status of logits that are none")
    ok(one_error_line(p) and position in p.stderr and (b"NaN" in p.stderr or b"infinity" in p.stderr),
       f"{command[0]}: the message names the position", p.stderr)
ok(not os.path.exists(output), "nothing is written")
done()

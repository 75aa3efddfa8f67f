#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Families of models from outside: the text of a checkpoint that sees as well, compressed models with experts, tensors
that are missing, sizes without calibration. (test_logits.py compares logits with Transformers.)"""

from cli_testing import *

GOLDEN = os.path.join(GOLDEN_SETS[0][0], "models")
IDS = " ".join(str(i * 7 % 90 + 2) for i in range(40))


def config_of(folder):
    return json.loads(read(os.path.join(folder, "config.json")))


def write_folder(name, config, tensors):
    folder = tmp(name)
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    return folder


def logits(model, *more):
    p = run("logits", "-m", model, "--ids", IDS, "-o", "-", "-q", *more)
    ok(p.returncode == 0 and len(p.stdout) > 0, f"logits of {os.path.basename(model)}", p.stderr.decode())
    return p.stdout


def seeing():
    """Gemma 3 with pictures: fields in text_config, tensors of the text with a beginning of their own, others beside."""
    folder = os.path.join(GOLDEN, "gemma3-windows")
    config, tensors = config_of(folder), read_safetensors(os.path.join(folder, "model.safetensors"))
    text = {k: v for k, v in config.items() if k not in ("architectures", "tie_word_embeddings", "torch_dtype")}
    whole = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
             "vision_config": {"hidden_size": 9}, "eos_token_id": [1, 5]}
    want = logits(folder)
    for beginning in ("language_model.model.", "model.language_model."):
        named = {beginning + n[len("model."):]: t for n, t in tensors.items()}
        named["vision_tower.patch.weight"] = "F32", [1, 2], bytes(8)
        other = write_folder("seeing-" + beginning.replace(".", "-"), whole, named)
        ok(logits(other) == want, f"tensors of the text begin with {beginning}")


def experts(name):
    """A .ellm file has each matrix of each expert; with float activations it gives what its decompressed folder gives."""
    folder = os.path.join(GOLDEN, name)
    file, back = tmp(name + ".ellm"), tmp(name + "-back")
    p = run("compress", folder, "-o", file, "--bits", "8", "-q")
    ok(p.returncode == 0, f"compress {name}", p.stderr.decode())
    facts = run_json("inspect", file)
    quantized = sum(".experts." in t["name"] and not t["kept"] for t in facts["tensors"])
    wanted = sum(".experts." in t for t in read_safetensors(os.path.join(folder, "model.safetensors")))
    equal(quantized, wanted, f"{name}: matrices of experts that are quantized")
    p = run("decompress", file, "-o", back, "--dtype", "f32", "-q")
    ok(p.returncode == 0, f"decompress {name}", p.stderr.decode())
    want = logits(back)
    ok(logits(file, "--activations", "f32") == want, f"{name}: float activations give the folder's logits")
    ok(logits(file, "-t", "1") == logits(file, "-t", "2"), f"{name}: threads")
    measured = run_json("bench", "model", "-m", file, "-p", "0", "-n", "4", "--repeats", "1", "-t", "1")["rows"][0]
    a_token = 1e9 * measured["coded_gbytes_per_s"] / measured["tokens_per_s"]["median"]
    stored = sum(t["coded_bits_per_weight"] * t["shape"][0] * t["shape"][1] / 8 for t in facts["tensors"] if not t["kept"])
    ok(0 < a_token < 0.95 * stored, f"{name}: a token reads a part of the experts", (a_token, stored))


def sized():
    """Experts to a size: large enough that the size is not all tables. tests/convert/test_any_size.c calibrates some."""
    path, folder, file = tmp("shape.json"), tmp("shape"), tmp("shape.ellm")
    with open(path, "w") as f:
        json.dump({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": 512,
                   "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
                   "num_key_value_heads": 2, "head_dim": 64, "num_experts": 4, "num_experts_per_tok": 2,
                   "moe_intermediate_size": 384, "mlp_only_layers": [0], "bos_token_id": 1}, f)
    subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_checkpoint.py"), path, "--seed", "1", folder],
                   check=True)
    target = ("compress", folder, "-o", file, "--force", "--target-bpw", "4", "--calibrate", "none", "--json")
    p = run(*target)
    ok(p.returncode == 0, "experts to a size", p.stderr.decode())
    facts = run_json("inspect", file)
    bits = facts["totals"]["coded_bits_per_weight"]
    ok(3.95 < bits <= 4.05, "the size that was asked for", bits)
    router = [t for t in facts["tensors"] if t["name"] == "model.layers.1.mlp.gate.weight"][0]
    ok(router["kept"] or router["bits"] == 8, "the router is not among what is made smaller", router)
    ok(len(logits(file)) > 0, "it runs")


def incomplete():
    folder = os.path.join(GOLDEN, "qwen3moe-mixed")
    config, tensors = config_of(folder), read_safetensors(os.path.join(folder, "model.safetensors"))
    name = "model.layers.1.mlp.experts.6.down_proj.weight"

    def refused(what, config, tensors, part):
        p = run("logits", "-m", write_folder(what, config, tensors), "--ids", "1", "-o", "-", "-q")
        ok(p.returncode == INPUT and one_error_line(p) and part in p.stderr.decode(), what, p.stderr.decode())

    refused("an expert that is missing", config, {n: t for n, t in tensors.items() if n != name}, name)
    dtype, shape, data = tensors[name]
    refused("an expert of another shape", config, {**tensors, name: (dtype, shape[::-1], data)}, name)
    field = "num_experts" if "num_experts" in config else "num_local_experts"
    refused("more experts than tensors", {**config, field: 4096}, tensors, "too few for the 4096 experts")


seeing()
experts("qwen3moe-mixed")
experts("mixtral-window")
sized()
incomplete()
done()

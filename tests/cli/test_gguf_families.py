#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GGUF files of each architecture: with the weights and the configuration of a checkpoint folder they give the folder's
logits, bit for bit (rotary factors that are stored as floats: nearly). What is refused is named."""

import array as arrays
import math
import os

from cli_testing import *
from gguf_testing import *

MODELS = os.path.join(GOLDEN_SETS[0][0], "models")
IDS = " ".join(str(i * 11 % 90 + 3) for i in range(60))

USUAL = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_up_proj": "ffn_up", "mlp.gate": "ffn_gate_inp", "block_sparse_moe.gate": "ffn_gate_inp"}
GEMMA = {**USUAL, "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
         "post_feedforward_layernorm": "post_ffw_norm"}
EXPERT = {"gate_proj": "ffn_gate_exps", "w1": "ffn_gate_exps", "up_proj": "ffn_up_exps", "w3": "ffn_up_exps",
          "down_proj": "ffn_down_exps", "w2": "ffn_down_exps"}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}


def floats(data):
    return arrays.array("f", b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2)))


def stored(name, tensor, config, gemma, pairs):
    dtype, shape, data = tensor
    if gemma and name.endswith("norm.weight"):
        return TYPES["F32"], shape, arrays.array("f", [x + 1 for x in floats(data)]).tobytes()
    if pairs and (".q_proj." in name or ".k_proj." in name):
        heads = config["num_attention_heads" if ".q_proj." in name else "num_key_value_heads"]
        data = interleave(data, shape[0], heads)
    return TYPES[dtype], shape, data


def tensors_of(folder, config, gemma, pairs):
    """Names as llama.cpp's converter gives them; experts of a layer behind each other in one tensor."""
    out, experts = {}, {}
    for name, tensor in read_safetensors(os.path.join(folder, "model.safetensors")).items():
        if name in WHOLE:
            out[WHOLE[name]] = stored(name, tensor, config, gemma, pairs)
            continue
        layer, rest = name[len("model.layers."):].split(".", 1)
        part, ending = rest.rsplit(".", 1)
        if ".experts." in part:
            number, which = part.split(".experts.")[1].split(".")
            experts.setdefault(f"blk.{layer}.{EXPERT[which]}.weight", {})[int(number)] = tensor
        else:
            out[f"blk.{layer}.{(GEMMA if gemma else USUAL)[part]}.{ending}"] = stored(name, tensor, config, gemma, pairs)
    for name, matrices in experts.items():
        dtype, shape, _ = matrices[0]
        data = b"".join(matrices[i][2] for i in range(len(matrices)))
        out[name] = TYPES[dtype], [len(matrices), *shape], data
    return out


def keys_of(arch, config, more):
    dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    entries = {
        "block_count": (U32, config["num_hidden_layers"]), "context_length": (U32, config["max_position_embeddings"]),
        "embedding_length": (U32, config["hidden_size"]), "feed_forward_length": (U32, config["intermediate_size"]),
        "attention.head_count": (U32, config["num_attention_heads"]),
        "attention.head_count_kv": (U32, config["num_key_value_heads"]), "attention.key_length": (U32, dim),
        "attention.value_length": (U32, dim), "attention.layer_norm_rms_epsilon": (F32, config["rms_norm_eps"]),
        "rope.freq_base": (F32, theta), **more}
    keys = {name: key(f"{arch}.{name}", kind, v) for name, (kind, v) in entries.items()}
    return {"general.architecture": key("general.architecture", STRING, arch), **keys}


def logits(model):
    p = run("logits", "-m", model, "--ids", IDS, "-o", "-", "-q")
    ok(p.returncode == 0 and len(p.stdout) > 0, f"logits of {os.path.basename(model)}", p.stderr.decode())
    return p.stdout


def refused(name, keys, tensors, part):
    p = run("logits", "-m", write_gguf(name + ".gguf", keys, tensors), "--ids", "1 2", "-o", "-", "-q")
    said = p.stderr.decode()
    ok(p.returncode == INPUT and one_error_line(p) and part in said, f"refused: {part}", said)


def family(name, arch, more, extra=None, changes=None, near=False):
    """The golden model `name` as a file of `arch`; changes: of its configuration, to what such files can say."""
    folder = os.path.join(MODELS, name)
    config = {**json.loads(read(os.path.join(folder, "config.json"))), **(changes or {})}
    if changes:
        folder = tmp(name)
        shutil.copytree(os.path.join(MODELS, name), folder)
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(config, f)
    gemma, pairs = arch.startswith("gemma"), arch in ("llama", "smollm3")
    keys, tensors = keys_of(arch, config, more), tensors_of(folder, config, gemma, pairs)
    tensors.update(extra or {})
    file = write_gguf(name + ".gguf", keys, tensors)
    got, want = logits(file), logits(folder)
    if near:
        a, b = arrays.array("f", got), arrays.array("f", want)
        worst = max(map(abs, (x - y for x, y in zip(a, b)))) if len(a) == len(b) else math.inf
        ok(worst <= 1e-5 * max(map(abs, b)), f"{name}: logits are nearly those of the folder", worst)
    else:
        ok(got == want, f"{name}: logits are those of the folder, bit for bit")
    return keys, tensors, config


def f32_list(values):
    return TYPES["F32"], [len(values)], arrays.array("f", values).tobytes()


def llama3_factors(config):
    """What the converter writes: divisors of the frequencies."""
    r, dim = config["rope_scaling"], config["hidden_size"] // config["num_attention_heads"]
    old, out = r["original_max_position_embeddings"], []
    for i in range(0, dim, 2):
        length = 2 * math.pi * config["rope_theta"] ** (i / dim)
        smooth = (old / length - r["low_freq_factor"]) / (r["high_freq_factor"] - r["low_freq_factor"])
        smooth = min(1, max(0, smooth))
        out.append(1 / ((1 - smooth) / r["factor"] + smooth))
    return out


def of(name):
    return json.loads(read(os.path.join(MODELS, name, "config.json")))


keys, tensors, _ = family(
    "gemma3-windows", "gemma3",
    {"attention.sliding_window": (U32, 12), "rope.scaling.type": (STRING, "linear"), "rope.scaling.factor": (F32, 8)},
    changes={"query_pre_attn_scalar": 16})
refused("gemma3-bad", {**keys, "x": key("gemma3.attention.scale", F32, 1)}, tensors, "gemma3.attention.scale is not")
refused("gemma3-bad", keys, {**tensors, "rope_freqs.weight": f32_list([1] * 8)},
        "rotary factors are not supported for gemma3")
family("gemma2-caps", "gemma2",
       {"attention.sliding_window": (U32, 12), "attn_logit_softcapping": (F32, 1.5),
        "final_logit_softcapping": (F32, 2.0)}, changes={"query_pre_attn_scalar": 16})
family("llama32", "llama", {"rope.dimension_count": (U32, 8)},
       extra={"rope_freqs.weight": f32_list(llama3_factors(of("llama32")))}, near=True)
family("smollm3-no-rope", "smollm3", {})
family("llama-rope-yarn", "llama",
       {"rope.scaling.type": (STRING, "yarn"), "rope.scaling.factor": (F32, 4.0),
        "rope.scaling.original_context_length": (U32, 64)})
phi = of("phi4-mini")
lists = {"rope_factors_short.weight": f32_list(phi["rope_scaling"]["short_factor"]),
         "rope_factors_long.weight": f32_list(phi["rope_scaling"]["long_factor"])}
scale = math.sqrt(1 + math.log(256 / 40) / math.log(40))
more = {"rope.dimension_count": (U32, 12), "attention.sliding_window": (U32, 200),
        "rope.scaling.original_context_length": (U32, 40), "rope.scaling.attn_factor": (F32, scale)}
keys, tensors, _ = family("phi4-mini", "phi3", more, extra=lists)
refused("phi3-bad", keys, {n: t for n, t in tensors.items() if n != "rope_factors_short.weight"},
        "tensor rope_factors_short.weight is missing")
refused("phi3-bad", {n: k for n, k in keys.items() if n != "rope.scaling.original_context_length"}, tensors,
        "phi3.rope.scaling.original_context_length is missing")
family("qwen2-bias", "qwen2", {})
family("qwen3-qknorm", "qwen3", {})
keys, tensors, config = family(
    "qwen3moe-plain", "qwen3moe",
    {"expert_count": (U32, 5), "expert_used_count": (U32, 2), "expert_feed_forward_length": (U32, 20)},
    changes={"norm_topk_prob": True, "use_sliding_window": False, "sliding_window": None})
name = "blk.1.ffn_up_exps.weight"
kind, shape, data = tensors[name]
refused("moe-bad", keys, {**tensors, name: (kind, shape[1:], data[: len(data) // 5])},
        "matrices of 5 experts are expected")
refused("moe-bad", {**keys, "expert_count": key("qwen3moe.expert_count", U32, 6)}, tensors,
        "matrices of 6 experts are expected")
refused("moe-bad", {n: k for n, k in keys.items() if n != "expert_count"}, tensors,
        "key qwen3moe.expert_count is 0: files of architecture qwen3moe have experts")
refused("moe-bad", {**keys, "expert_count": key("qwen3moe.expert_count", U32, 5000)}, tensors, "at most 4096")
refused("moe-bad", keys, {n: t for n, t in tensors.items() if n != name}, "model.layers.1.mlp.experts.0.up_proj.weight")
family("mixtral-window", "llama", {"expert_count": (U32, 4), "expert_used_count": (U32, 2)},
       changes={"sliding_window": None})
file = tmp("mixtral-window.gguf")
for source, out in ((file, "m1.ellm"), (tmp("mixtral-window"), "m2.ellm")):
    p = run("compress", source, "-o", tmp(out), "--bits", "6", "-q")
    ok(p.returncode == 0, f"compress {os.path.basename(source)}", p.stderr.decode())
ok(logits(tmp("m1.ellm")) == logits(tmp("m2.ellm")), "experts from a GGUF file, compressed")
done()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make small random checkpoints of model families, with logits and greedy continuations by Hugging Face Transformers.

usage: make_model_golden.py [NAME ...]      (default: all; into tests/golden/models)

Needs torch, transformers and numpy, in an environment that is thrown away afterwards: no test makes these files. They
were made with Transformers 5.24 and PyTorch 2.15 in float32 on a CPU. tests/golden/README.md says how to compare.
The checkpoints have no tokenizer: their vectors are ids.
"""
import json
import math
import os
import sys

import torch
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, LlamaConfig, MixtralConfig, Phi3Config,
                          Qwen3MoeConfig, SmolLM3Config, __version__)

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "models")
NEW = 24  # ids of a greedy continuation


def tiny(**more):
    sizes = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=None)
    return {**sizes, **more}


def rope(kind="default", theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


MODELS = {  # name: (configuration, lengths of prompts, fields in the style of earlier Transformers or None)
    "gemma3-windows": (
        Gemma3TextConfig(**tiny(num_hidden_layers=6, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                                sliding_window=12, query_pre_attn_scalar=24,
                                rope_parameters={"full_attention": rope("linear", 1e6, factor=8.0),
                                                 "sliding_attention": rope()})),
        [1, 70],
        {"rope_theta": 1e6, "rope_local_base_freq": 10000.0, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
         "sliding_window_pattern": 6, "layer_types": ...}),
    "gemma3-by-type": (
        Gemma3TextConfig(**tiny(num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=24,
                                sliding_window=16, query_pre_attn_scalar=32, final_logit_softcapping=2.0,
                                layer_types=["full_attention", "sliding_attention", "full_attention"],
                                rope_parameters={"full_attention": rope(theta=50000.0),
                                                 "sliding_attention": rope(theta=3000.0)})), [40], None),
    "gemma2-caps": (
        Gemma2Config(**tiny(num_hidden_layers=3, head_dim=16, sliding_window=12, query_pre_attn_scalar=20,
                            attn_logit_softcapping=1.5, final_logit_softcapping=2.0)),
        [50], {"rope_theta": 10000.0, "layer_types": ...}),
    "llama32": (
        LlamaConfig(**tiny(tie_word_embeddings=True,
                           rope_parameters=rope("llama3", 500000.0, factor=32.0, low_freq_factor=1.0,
                                                high_freq_factor=4.0, original_max_position_embeddings=64))),
        [90], {"rope_theta": 500000.0,
               "rope_scaling": {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                "original_max_position_embeddings": 64, "rope_type": "llama3"}}),
    "smollm3-no-rope": (
        SmolLM3Config(**tiny(num_hidden_layers=4, rope_parameters=rope(theta=5e6))), [50],
        {"rope_theta": 5e6, "rope_scaling": None, "layer_types": ...}),
    "smollm3-windows": (
        SmolLM3Config(**tiny(num_hidden_layers=3, no_rope_layers=[0, 1, 0], use_sliding_window=True, sliding_window=16,
                             tie_word_embeddings=False, rope_parameters=rope(theta=20000.0))), [50], None),
    "phi4-mini": (
        Phi3Config(**tiny(num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, sliding_window=200,
                          original_max_position_embeddings=40,
                          rope_parameters=rope("longrope", partial_rotary_factor=0.75,
                                               original_max_position_embeddings=40,
                                               short_factor=[round(1 + .03 * i, 3) for i in range(6)],
                                               long_factor=[round(1 + .9 * i, 3) for i in range(6)]))),
        [12, 30, 60], {"rope_theta": 10000.0, "partial_rotary_factor": 0.75,
                       "rope_scaling": {"type": "longrope", "short_factor": [round(1 + .03 * i, 3) for i in range(6)],
                                        "long_factor": [round(1 + .9 * i, 3) for i in range(6)]}}),
    "qwen3moe-mixed": (
        Qwen3MoeConfig(**tiny(num_hidden_layers=4, head_dim=16, num_experts=7, num_experts_per_tok=3,
                              moe_intermediate_size=20, norm_topk_prob=True, decoder_sparse_step=2,
                              mlp_only_layers=[3], rope_parameters=rope(theta=1e6))),
        [1, 40], {"rope_theta": 1e6, "rope_scaling": None}),
    "qwen3moe-plain": (
        Qwen3MoeConfig(**tiny(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=20, norm_topk_prob=False,
                              use_sliding_window=True, sliding_window=16, tie_word_embeddings=True)), [40], None),
    "mixtral-window": (
        MixtralConfig(**tiny(intermediate_size=40, num_local_experts=4, num_experts_per_tok=2, sliding_window=16)),
        [45], {"rope_theta": 1e6}),
}


def randomize(model, gemma, generator):
    """Heavy-tailed weights, norms around one, biases that matter; spread enough that greedy choices are clear."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name:
            p.copy_(.2 * noise + (0 if gemma else 1))
        elif name.endswith("bias"):
            p.copy_(.3 * noise)
        else:
            heavy = noise / torch.sqrt(torch.randn(5, *p.shape, generator=generator).pow(2).mean(0))
            # Gemma's embedding is scaled when it is looked up: as large as the others' then
            embedding = .8 / (math.sqrt(p.shape[-1]) if gemma else 1)
            p.copy_(heavy * (embedding if "embed" in name else 1 / math.sqrt(p.shape[-1])))


def older_style(path, fields):
    """config.json as folders published before Transformers 5 have it; `...` takes a field away."""
    with open(path) as file:
        config = json.load(file)
    config.pop("rope_parameters", None)
    config["torch_dtype"] = config.pop("dtype", "bfloat16")
    for name, value in fields.items():
        if value is ...:
            config.pop(name, None)
        else:
            config[name] = value
    with open(path, "w") as file:
        json.dump(config, file, indent=1)


def run(model, ids, number, out):
    """Logits of every position, and a greedy continuation that is computed without a cache."""
    logits = model(torch.tensor([ids])).logits[0].float()
    logits.numpy().astype("<f4").tofile(f"{out}/logits{number}.f32")
    sequence, margins = list(ids), []
    for _ in range(NEW):
        last = model(torch.tensor([sequence])).logits[0, -1].float()
        top = last.topk(2)
        margins.append(round(float(top.values[0] - top.values[1]), 5))
        sequence.append(int(top.indices[0]))
    return {"prompt": ids, "logits": f"logits{number}.f32", "shape": list(logits.shape),
            "max_abs_logit": float(logits.abs().max()), "greedy": sequence[len(ids):], "greedy_margins": margins}


def make(name):
    config, lengths, older = MODELS[name]
    out = os.path.join(OUT, name)
    os.makedirs(out, exist_ok=True)
    generator = torch.Generator().manual_seed(sum(name.encode()))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().float()
    randomize(model, name.startswith("gemma"), generator)
    model.to(torch.bfloat16).save_pretrained(out)
    # as a user would load it
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
    prompts = [torch.randint(2, config.vocab_size, (n,), generator=generator).tolist() for n in lengths]
    runs = [run(model, ids, i, out) for i, ids in enumerate(prompts)]
    if older is not None:
        older_style(os.path.join(out, "config.json"), older)
        again = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
        same = torch.equal(again(torch.tensor([prompts[-1]])).logits, model(torch.tensor([prompts[-1]])).logits)
        assert same, f"{name}: the older style of config.json is another model"
    with open(os.path.join(out, "golden.json"), "w") as file:
        json.dump({"dtype": "bfloat16", "transformers": __version__, "runs": runs}, file)
    total = sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out))
    print(f"{name}: {total} bytes, least margin {min(min(r['greedy_margins']) for r in runs)}")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    for each in sys.argv[1:] or MODELS:
        make(each)

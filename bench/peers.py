#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""EntroLLM and llama.cpp side by side: see bench/peers.sh, which makes what this needs.

One synthetic checkpoint becomes GGUF files of several types and .ellm files; then all are measured in turns, so that
what else the machine does falls on all alike. The error of a type is that of its weights: the root mean square of
w' - w by that of w, over the matrices of the first and the last layer.
"""

import argparse
import json
import os
import struct
import subprocess
import sys

from peers_measure import HERE, PROGRAM, in_turns, measure_llama, measure_ours, spread
from smollm2 import LAYER, gguf_name, interleave

ROOT = os.path.dirname(HERE)
TYPES = {"F16": None, "Q8_0": 7, "Q4_K_M": 15, "Q4_0": 2, "Q3_K_M": 12, "Q2_K": 10}  # llama_ftype

# ------------------------------------------------------------------ checkpoint


def safetensors(folder):
    """name -> (dtype, shape, numpy array of raw elements)."""
    import numpy as np

    kinds = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}
    found = {}
    for file in sorted(f for f in os.listdir(folder) if f.endswith(".safetensors")):
        path = os.path.join(folder, file)
        with open(path, "rb") as f:
            n = struct.unpack("<Q", f.read(8))[0]
            header = json.loads(f.read(n))
        for name, about in header.items():
            if name == "__metadata__":
                continue
            begin, end = about["data_offsets"]
            kind = kinds[about["dtype"]]
            found[name] = (
                about["dtype"],
                about["shape"],
                np.memmap(path, kind, "r", 8 + n + begin, (end - begin) // np.dtype(kind).itemsize),
            )
    return found


def floats(tensor):
    import numpy as np

    dtype, shape, raw = tensor
    values = (raw.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else raw.astype(np.float32)
    return values.reshape(shape)


def write_gguf(folder, out):
    import gguf
    import numpy as np

    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    heads, kv_heads = config["num_attention_heads"], config.get("num_key_value_heads") or config["num_attention_heads"]
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(1)
    tensors = safetensors(folder)
    for name, tensor in tensors.items():
        kind = np.float32 if len(tensor[1]) == 1 else np.float16
        size = int(np.prod(tensor[1])) * np.dtype(kind).itemsize
        writer.add_tensor_info(gguf_name(name), tensor[1], np.dtype(kind), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor in tensors.items():
        values = floats(tensor)
        if ".q_proj." in name:
            values = interleave(values, heads)
        elif ".k_proj." in name:
            values = interleave(values, kv_heads)
        writer.write_tensor_data(values.astype(np.float32 if values.ndim == 1 else np.float16))
    writer.close()


def quantize_gguf(source, out, ftype):
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = ftype
    if llama_cpp.llama_model_quantize(source.encode(), out.encode(), params) != 0:
        sys.exit(f"llama.cpp could not quantize {out}")


# ----------------------------------------------------------------------- error


def compared(config):
    last = config["num_hidden_layers"] - 1
    return [
        f"model.layers.{layer}.{part}.weight"
        for layer in (0, last)
        for part in LAYER
        if not part.endswith("layernorm")
    ]


def relative_error(pairs):
    import numpy as np

    error = total = 0.0
    for got, want in pairs:
        error += float(np.sum((got.astype(np.float64) - want) ** 2))
        total += float(np.sum(want.astype(np.float64) ** 2))
    return (error / total) ** 0.5


def gguf_error(path, folder, config):
    import gguf
    from gguf.quants import dequantize

    source = safetensors(folder)
    held = {t.name: t for t in gguf.GGUFReader(path).tensors}
    heads, kv_heads = config["num_attention_heads"], config.get("num_key_value_heads") or config["num_attention_heads"]

    def pairs():
        for name in compared(config):
            t = held[gguf_name(name)]
            want = floats(source[name])
            if ".q_proj." in name or ".k_proj." in name:
                want = interleave(want, heads if ".q_proj." in name else kv_heads)
            yield dequantize(t.data, t.tensor_type).reshape(want.shape), want

    return relative_error(pairs())


def our_error(path, folder, config):
    """From the codes that the program writes: w' = step * (code - zero)."""
    import numpy as np

    source = safetensors(folder)
    about = {t["name"]: t for t in json.loads(subprocess.check_output([PROGRAM, "inspect", path, "--json"]))["tensors"]}

    def pairs():
        for name in compared(config):
            codes = path + ".codes"
            subprocess.check_call([PROGRAM, "inspect", path, "--tensor", name, "--codes", codes, "-q"])
            got = np.fromfile(codes, np.uint8).astype(np.float32)
            os.unlink(codes)
            t = about[name]
            want = floats(source[name])
            yield ((got - t["zero"]) * np.float32(t["step"])).reshape(want.shape), want

    return relative_error(pairs())


# ------------------------------------------------------------------------ main


def prepare(args):
    folder = args.folder
    checkpoint = os.path.join(folder, "checkpoint")
    if not os.path.exists(os.path.join(checkpoint, "config.json")):
        subprocess.check_call(
            [sys.executable, os.path.join(ROOT, "tools", "make_checkpoint.py"), args.config, "--seed", "1", checkpoint]
        )
    with open(os.path.join(checkpoint, "config.json")) as f:
        config = json.load(f)
    contestants = []
    f16 = os.path.join(folder, "F16.gguf")
    if not os.path.exists(f16):
        write_gguf(checkpoint, f16)
    for name in args.types.split(","):
        path = os.path.join(folder, name + ".gguf")
        if not os.path.exists(path):
            quantize_gguf(f16, path, TYPES[name])
        contestants.append({"kind": "llama", "name": "llama.cpp " + name, "path": path})
    for way in args.ways.split(","):
        bits, how = way.split(":")
        path = os.path.join(folder, f"{bits}-{'speed' if how == 'expanded' else how}.ellm")
        if not os.path.exists(path):
            options = ["--code", "none"] if how == "none" else ["--prefer", "size" if how == "size" else "balanced"]
            subprocess.check_call([PROGRAM, "compress", checkpoint, "-o", path, "--bits", bits, "-q", *options])
        label = {"none": "not coded", "speed": "coded for speed", "size": "coded for size", "expanded": "expanded"}[how]
        for activations in args.activations.split(","):
            name = f"{bits} bits, {label}, {activations}"
            contestants.append(
                {"kind": "ours", "name": name, "path": path, "activations": activations, "expand": how == "expanded"}
            )
    errors = {}
    for c in contestants:
        c["bytes"] = os.path.getsize(c["path"])
        if c["path"] not in errors:
            errors[c["path"]] = (gguf_error if c["kind"] == "llama" else our_error)(c["path"], checkpoint, config)
        c["error"] = errors[c["path"]]
    return contestants


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--config", required=True, help="config.json of a Llama-like model")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument(
        "--ways",
        default="8:speed,7:speed,6:speed,5:speed,4:speed,8:size,6:size,4:size,8:none,4:none,6:expanded,4:expanded",
        help="BITS:HOW, HOW being speed, size, none (not coded) or expanded (run --expand)",
    )
    parser.add_argument("--activations", default="i16", help="i16,i8")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=32)
    parser.add_argument("--depth", type=int, default=0, help="generate behind so many tokens, too")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    contestants = prepare(args)
    job = {"prompt": args.prompt, "generate": args.generate, "depth": args.depth, "threads": args.threads}

    def measure(c):
        if c["kind"] == "llama":
            return measure_llama(c["path"], job)
        return measure_ours(c["path"], job, c["activations"], c["expand"])

    in_turns(contestants, args.rounds, measure)
    print(f"{args.threads} threads, prompt of {args.prompt} tokens, {args.generate} generated;", end=" ")
    print(f"median (least - most) of {args.rounds} rounds\n")
    deep = f" | behind {args.depth} tokens" if args.depth else ""
    print(f"| | GB | weight error | generated tokens/s{deep} | prompt tokens/s | peak memory, GB |")
    print("|---|" + "---:|" * (6 if deep else 5))
    for c in contestants:
        deep = f" | {spread(c['deep'])}" if args.depth else ""
        print(
            f"| {c['name']} | {c['bytes'] / 1e9:.3f} | {100 * c['error']:.1f} % | {spread(c['generate'])}{deep} "
            f"| {spread(c['prompt'])} | {max(c['peak']) / 1e9:.2f} |"
        )


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes eval/stories.json and its inputs: evaluation figures of the default model on texts it was not trained on.

    make_eval.py [--check GOLDEN.json --shared DIR]

A forward pass of its own in NumPy (float64), the `tokenizers` library for ids, and the protocols of docs/EVALUATION.md
written out once more; nothing of the program is used. --check compares the same code with figures that were made with
Transformers for the same model on another text.
"""

import argparse
import hashlib
import json
import math
import os
import re
import struct

import numpy as np
from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODEL = os.path.join(ROOT, "models", "stories-4m")
CHUNKS, WINDOWS, CTX = 12, 6, 256


def read_tensors(path):
    """name -> float64 array; BF16 only."""
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, about in json.loads(data[8 : 8 + n]).items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            halves = np.frombuffer(data[8 + n + begin : 8 + n + end], "<u2").astype("<u4") << 16
            tensors[name] = halves.view("<f4").astype(np.float64).reshape(about["shape"])
    return tensors


def quantized(tensors, bits):
    """docs/format/quantizer.md, "mixed": the weights that the codes stand for."""
    out = {}
    for name, w in tensors.items():
        if w.ndim != 2:
            out[name] = w
            continue
        lo, hi, top = float(w.min()), float(w.max()), 2**bits - 1
        if lo * hi >= 0:
            step, zero = (hi if hi > 0 else lo) / top, 0
        else:
            step, zero = (hi - lo) / top, None
        step = float(np.float32(step))
        zero = int(np.clip(np.rint(-lo / step), 0, top)) if zero is None else zero
        codes = np.clip(np.rint(w / step) + zero, 0, top)
        out[name] = ((codes.astype(np.float32) - np.float32(zero)) * np.float32(step)).astype(np.float64)
    return out


class Llama:
    """A Llama with tied embeddings; logits of all positions."""

    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors

    def norm(self, x, name):
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x / scale * self.tensors[name]

    def attention(self, x, layer):
        c, t, n = self.config, self.tensors, len(x)
        heads, groups = c["num_attention_heads"], c["num_key_value_heads"]
        dim = c["hidden_size"] // heads
        theta = c.get("rope_theta") or c["rope_parameters"]["rope_theta"]
        angle = np.arange(n)[:, None] * theta ** (-np.arange(0, dim, 2) / dim)
        cos, sin = np.cos(np.tile(angle, 2))[:, None], np.sin(np.tile(angle, 2))[:, None]

        def turned(y):
            return y * cos + np.concatenate([-y[..., dim // 2 :], y[..., : dim // 2]], -1) * sin

        q = turned((x @ t[layer + "q_proj.weight"].T).reshape(n, heads, dim))
        k = turned((x @ t[layer + "k_proj.weight"].T).reshape(n, groups, dim))
        v = (x @ t[layer + "v_proj.weight"].T).reshape(n, groups, dim)
        out = np.empty((n, heads, dim))
        for h in range(heads):
            g = h * groups // heads
            scores = q[:, h] @ k[:, g].T / math.sqrt(dim) + np.triu(np.full((n, n), -np.inf), 1)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            out[:, h] = scores / scores.sum(-1, keepdims=True) @ v[:, g]
        return out.reshape(n, -1) @ t[layer + "o_proj.weight"].T

    def log_probabilities(self, ids):
        t = self.tensors
        x = t["model.embed_tokens.weight"][ids]
        for number in range(self.config["num_hidden_layers"]):
            layer = f"model.layers.{number}."
            x = x + self.attention(self.norm(x, layer + "input_layernorm.weight"), layer + "self_attn.")
            h = self.norm(x, layer + "post_attention_layernorm.weight")
            gate, up = h @ t[layer + "mlp.gate_proj.weight"].T, h @ t[layer + "mlp.up_proj.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ t[layer + "mlp.down_proj.weight"].T
        logits = self.norm(x, "model.norm.weight") @ t["model.embed_tokens.weight"].T
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def picked(rows, ids):
    return rows[np.arange(len(ids)), np.asarray(ids)]


def chunk_rows(model, ids, bos, chunks):
    """Protocol a: the rows of each chunk that are scored, and the ids they are scored for."""
    for c in range(chunks):
        window = list(ids[c * CTX : (c + 1) * CTX])
        if bos is not None:
            window[0] = bos
        yield model.log_probabilities(window)[CTX // 2 : CTX - 1], window[CTX // 2 + 1 : CTX]


def perplexities(model, reference, ids, ids_b, bos, chunks):
    nll, kl, same = [], [], []
    for (rows, labels), (wanted, _) in zip(chunk_rows(model, ids, bos, chunks), reference):
        nll.append(-picked(rows, labels))
        kl.append((np.exp(wanted) * (wanted - rows)).sum(-1))
        same.append(rows.argmax(-1) == wanted.argmax(-1))
    all_kl = np.concatenate(kl)
    out = {"a_ppl": math.exp(np.concatenate(nll).mean()), "a_nll_by_chunk": [float(x.mean()) for x in nll]}
    out.update(kl_mean=float(all_kl.mean()), kl_median=float(np.quantile(all_kl, 0.5)),
               kl_99=float(np.quantile(all_kl, 0.99)), kl_max=float(all_kl.max()),
               same_top1=float(np.concatenate(same).mean()))
    windows = [ids_b[i * CTX : (i + 1) * CTX] for i in range(chunks)]
    out["b_ppl"] = math.exp(np.mean([-picked(model.log_probabilities(w)[:-1], w[1:]).mean() for w in windows]))
    total, count, stride = 0.0, 0, CTX // 2
    for i in range(WINDOWS):
        window = ids[i * stride : i * stride + CTX]
        scores = picked(model.log_probabilities(window)[:-1], window[1:])
        scores = scores if i == 0 else scores[-stride:]
        total, count = total - float(scores.sum()), count + len(scores)
    out["c_ppl"] = math.exp(total / count)
    out["c"] = {"ctx": CTX, "stride": stride, "windows": WINDOWS, "labels": count}
    return out


def cleaned(text):
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def choices(model, encode, items, most):
    rows = []
    for item in items:
        query = cleaned(item["activity_label"] + ": " + item["ctx_a"] + " " + item["ctx_b"].capitalize())
        endings, scores = [cleaned(e) for e in item["endings"]], []
        for ending in endings:
            whole = encode(query + " " + ending)
            n = len(whole) - len(encode(query))
            whole = whole[-(most + 1) :]
            scores.append(float(picked(model.log_probabilities(whole[:-1])[-n:], whole[-n:]).sum()))
        label = int(item["label"])
        rows.append({"query": query, "choices": endings, "label": label, "sum_logprob": scores,
                     "acc": int(np.argmax(scores) == label),
                     "acc_norm": int(np.argmax([s / len(e) for s, e in zip(scores, endings)]) == label)})
    return {"items": rows, "acc": float(np.mean([r["acc"] for r in rows])),
            "acc_norm": float(np.mean([r["acc_norm"] for r in rows]))}


RULES = [("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), (" : ", ": "), (" ; ", "; "), (" . ", ". "),
         (" ! ", "! "), (" ? ", "? "), (" , ", ", "), None, ("= = = =", "===="), ("= = =", "==="), ("= =", "=="),
         (" \u00b0 ", "\u00b0"), (" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")]


def detokenized(text):
    for rule in RULES:
        if rule:
            text = text.replace(*rule)
            continue
        for o, c in ("()", "[]", "{}", '""', "''"):
            text = re.sub(f"{re.escape(o)}\\s*([^{re.escape(c)}]*?)\\s*{re.escape(c)}", lambda m: o + m[1] + c, text)
    return text


def rolling(model, encode, pages, prefix, most, characters):
    rows = []
    for page in pages:
        source = page[:characters]
        text = detokenized(source)
        ids, total, done = encode(text), 0.0, 0
        while done < len(ids):
            n = min(len(ids) - done, most)
            end = done + n
            fed = ([prefix] + ids)[end - min(most, end) : end] if done else [prefix] + ids[: n - 1]
            total += float(picked(model.log_probabilities(fed)[-n:], ids[done:end]).sum())
            done = end
        rows.append({"first_characters": characters, "detokenized_sha256": hashlib.sha256(text.encode()).hexdigest(),
                     "tokens": len(ids), "sum_logprob": total, "words": len(re.split(r"\s+", source)),
                     "bytes": len(source.encode())})
    words = sum(r["words"] for r in rows)
    return {"pages": rows, "word_ppl": math.exp(-sum(r["sum_logprob"] for r in rows) / words)}


def figures(text, pages, items, characters, chunks=CHUNKS):
    with open(os.path.join(MODEL, "config.json")) as f:
        config = json.load(f)
    with open(os.path.join(MODEL, "tokenizer_config.json")) as f:
        bos = config["bos_token_id"] if json.load(f).get("add_bos_token") else None
    tokenizer = Tokenizer.from_file(os.path.join(MODEL, "tokenizer.json"))
    tensors = read_tensors(os.path.join(MODEL, "model.safetensors"))
    most, ids = config["max_position_embeddings"], tokenizer.encode(text[:-1] if text[-1] == "\n" else text).ids
    rows = [line + "\n" if line.strip() else "" for line in text.split("\n")]
    ids_b = tokenizer.encode("\n\n".join(rows[:-1] if rows[-1] == "" else rows)).ids
    out = {"tokens": len(ids), "b_gptq": {"tokens": len(ids_b), "ctx": CTX, "windows": chunks},
           "a_llamacpp": {"ctx": CTX, "chunks": chunks, "bos": bos}, "models": {}}
    full = Llama(config, tensors)
    reference = list(chunk_rows(full, ids, bos, chunks))
    for name, model in (("full", full), ("uint8", Llama(config, quantized(tensors, 8))),
                        ("uint4", Llama(config, quantized(tensors, 4)))):
        out["models"][name] = perplexities(model, reference, ids, ids_b, bos, chunks)
    encode = lambda s: tokenizer.encode(s, add_special_tokens=False).ids
    out["hellaswag_lm_eval"] = choices(full, encode, items, most)
    out["d_lm_eval_rolling"] = rolling(full, encode, pages, config["bos_token_id"], most, characters)
    return out


def sentences_as_items(text, n):
    """Items in HellaSwag's form: which of four sentences follows? The others are from elsewhere in the text."""
    sentences = [s for line in text.split("\n") for s in re.findall(r"[A-Z][^.!?\"]{20,90}[.!?]", line)]
    items = []
    for i in range(n):
        at = 5 + i * (len(sentences) - 60) // n
        first, _, rest = sentences[at + 1].partition(" ")
        endings = [sentences[at + 13 * k].partition(" ")[2] for k in (1, 2, 3)]
        endings.insert(i % 4, rest)
        if i % 5 == 4:
            endings[(i + 1) % 4] = "looks up. [title] " + endings[(i + 1) % 4] + " [step] Then  it ends."
        items.append({"activity_label": "A story", "ctx_a": sentences[at], "ctx_b": first.lower(), "endings": endings,
                      "label": i % 4})
    return items


def as_wikitext(text):
    """Punctuation set apart as WikiText has it."""
    text = re.sub(r"([.,;:!?]) ", r" \1 ", text)
    return re.sub(r"(\w)-(\w)", r"\1 @-@ \2", text).replace("'s", " 's").replace("\n", " \n ")


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)


def make():
    with open(os.path.join(MODEL, "unseen.txt"), encoding="utf-8") as f:
        text = f.read()
    names = {"checkpoint": "models/stories-4m", "text": "models/stories-4m/unseen.txt",
             "pages": "tests/golden/eval/stories.pages.jsonl", "hellaswag": "tests/golden/eval/stories.choices.jsonl"}
    pages = [as_wikitext(text[begin : begin + 6200]) for begin in (0, 30000)]
    items = sentences_as_items(text, 24)
    write_lines(os.path.join(ROOT, names["pages"]), [{"page": page} for page in pages])
    write_lines(os.path.join(ROOT, names["hellaswag"]), items)
    with open(os.path.join(HERE, "eval", "stories.json"), "w") as f:
        json.dump(names | figures(text, pages, items, 6000), f, indent=1)
        f.write("\n")


def check(golden, shared):
    with open(os.path.join(shared, "eval/wikitext2/wiki.test.raw"), encoding="utf-8") as f:
        text = f.read()
    with open(os.path.join(shared, "eval/wikitext2/wiki.test.pages.jsonl"), encoding="utf-8") as f:
        pages = [json.loads(line)["page"] for line in f][:2]
    with open(os.path.join(shared, "eval/hellaswag/hellaswag_val_1000_activitynet.jsonl"), encoding="utf-8") as f:
        items = [json.loads(line) for line in f][:40]
    with open(golden) as f:
        wanted = json.load(f)
    worst = 0.0

    def compare(a, b, where):
        nonlocal worst
        if isinstance(a, dict):
            for key in a.keys() & b.keys():
                compare(a[key], b[key], where + "." + key)
        elif isinstance(a, list):
            assert len(a) == len(b), where
            for i, pair in enumerate(zip(a, b)):
                compare(*pair, f"{where}[{i}]")
        elif isinstance(a, float) and "kl_" not in where and "same" not in where:
            difference = abs(a - b) / max(abs(b), 1e-9)
            worst = max(worst, difference)
            if difference > 1e-5:
                print(where, a, b)
        elif isinstance(a, float):
            print(where, a, b)
        else:
            assert a == b, (where, a, b)

    compare(figures(text, pages, items, 6000), wanted, "")
    print("largest relative difference", worst)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check")
    parser.add_argument("--shared")
    options = parser.parse_args()
    check(options.check, options.shared) if options.check else make()

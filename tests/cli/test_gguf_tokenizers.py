#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers in GGUF files: ids are the golden ones of `tokenizers` and `sentencepiece`, from the file itself and from
what it is compressed to; what does not fit is refused by name."""

import os
import struct

from cli_testing import *
from gguf_testing import *


def same_ids(file, rows, what, *options):
    wrong = []
    for sample, ids in rows:
        p = run("tokenize", "-m", file, *options, stdin=sample.encode())
        if p.stdout.split() != [str(i).encode() for i in ids]:
            wrong.append((sample, p.stdout, p.stderr, ids))
    ok(not wrong, f"{what}: ids of {len(rows)} texts", "\n".join(map(repr, wrong[:2])))


def test_pretokenizers():
    golden = json.loads(read(os.path.join(ROOT, "tests", "golden", "pretokenizers.json")))
    tokens, n = golden["tokens"], len(golden["tokens"])
    special, user_defined = golden["special"], golden["user_defined"]
    types = [1] * (n - special - user_defined) + [3] * special + [4] * user_defined
    for at, (name, ids) in enumerate(golden["ids"].items()):
        entries = {
            "model": (STRING, "gpt2"), "pre": (STRING, name), "tokens": (STRING, tokens), "token_type": (I32, types),
            "merges": (STRING, golden["merges"]), "add_bos_token": (BOOL, False),
        }
        file = tokenizer_file("pre.gguf", entries, n)
        same_ids(file, list(zip(golden["texts"], ids))[at % 4 :: 4], "pre " + name)
    entries.update({"pre": (STRING, "llama-bpe"), "bos_token_id": (U32, n - 3), "eos_token_id": (U32, n - 2)})
    entries["add_eos_token"] = (BOOL, True)
    del entries["add_bos_token"]
    file = tokenizer_file("pre.gguf", entries, n)
    same_ids(file, [("", [n - 3, n - 2])], "pre llama-bpe begins a text, add_eos_token ends it")


def fields(data):
    """Number and value of the fields of a message of Protocol Buffers."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = varint() if tag & 7 == 2 else 4
            yield tag >> 3, data[at : at + size]
            at += size


def scored_entries(name, model):
    """The keys that stand for a tokenizer.model."""
    path = os.path.join(ROOT, "tests", "golden", "sentencepiece", name, "tokenizer.model")
    message = list(fields(read(path)))
    pieces = [dict(fields(piece)) for number, piece in message if number == 1]
    normalizer = dict(fields([part for number, part in message if number == 3][-1]))
    types = [piece.get(3, 1) for piece in pieces]
    entries = {
        "model": (STRING, model),
        # user-defined ones stand there as in a text
        "tokens": (STRING, [p[1].replace("\u2581".encode(), b" ") if t == 4 else p[1] for p, t in zip(pieces, types)]),
        "scores": (F32, [struct.unpack("<f", p[2])[0] for p in pieces]),
        # the unknown one is often a control piece that a key names
        "token_type": (I32, [3 if t == 2 else t for t in types]),
        "unknown_token_id": (U32, types.index(2)),
        "add_space_prefix": (BOOL, bool(normalizer.get(3, 1))),
    }
    if normalizer.get(2):
        entries["precompiled_charsmap"] = (U8, list(normalizer[2]))
    if model == "t5":
        entries["remove_extra_whitespaces"] = (BOOL, bool(normalizer.get(4, 1)))
    return entries, len(pieces)


def test_scored():
    for name, model, more in (
        ("bpe-bytes", "llama", {}),
        ("bpe-symbols", "llama", {"bos_token_id": (U32, 2), "eos_token_id": (U32, 1), "add_eos_token": (BOOL, True)}),
        ("unigram-nfkc", "t5", {"eos_token_id": (U32, 2)}),
    ):
        golden = json.loads(read(os.path.join(ROOT, "tests", "golden", "tokenizers", f"sentencepiece-{name}.json")))
        entries, n = scored_entries(name, model)
        entries.update(more)
        file = tokenizer_file("scored.gguf", entries, n)
        same_ids(file, [(row["text"], row["ids"]) for row in golden["rows"][::6]], f"{model} as {name}")
        plain = [(row["text"], row["ids_special_as_text"]) for row in golden["rows"][1::12]]
        same_ids(file, plain, f"{model} as {name}, no special tokens", "--no-bos", "--special-as-text")
        out = tmp("scored.ellm")
        if os.path.exists(out):
            os.remove(out)
        p = run("compress", "--bits", "8", file, "-o", out, "-q")
        ok(p.returncode == 0, f"{model} as {name}: compressed", p.stderr.decode())
        same_ids(out, [(row["text"], row["ids"]) for row in golden["rows"][3::20]], f"{model} as {name}, compressed")

    def bad(part, name, entry):
        file = tokenizer_file("bad.gguf", {**entries, name: entry}, n)
        p = run("tokenize", "-m", file, stdin=b"x")
        said = p.stderr.decode("utf-8", "replace")
        ok(p.returncode == INPUT and one_error_line(p) and part in said, f"refused: {part}", said)

    bad("scores has 1 elements, there are", "scores", (F32, [1.0]))
    bad("scores: an element of the array is an I32, an F32 is expected", "scores", (I32, [1] * n))
    bad("piece 7 \"", "scores", (F32, [0.0] * 7 + [float("nan")] + [0.0] * (n - 8)))
    bad("token_type: token 3 has type 9, 1 to 6 are known", "token_type", (I32, [2, 3, 3, 9] + [1] * (n - 4)))
    bad("there is no byte piece <0x00>, though bytes are to be used", "token_type", (I32, [2, 3, 3] + [1] * (n - 4) + [6]))
    bad(f"key tokenizer.ggml.unknown_token_id is {n}, 0 to {n - 1}", "unknown_token_id", (U32, n))
    bad(f"key tokenizer.ggml.eos_token_id is {n}, 0 to {n - 1}", "eos_token_id", (U32, n))
    tokens = entries["tokens"][1]
    bad("piece 9 is not UTF-8", "tokens", (STRING, tokens[:9] + [b"\xff"] + tokens[10:]))
    bad("appears twice", "tokens", (STRING, tokens[:9] + tokens[8:9] + tokens[10:]))
    bad("piece 9 has 0 bytes, 1 to 1024 are expected", "tokens", (STRING, tokens[:9] + [b""] + tokens[10:]))
    bad("piece 9 has 2000 bytes, 1 to 1024 are expected", "tokens", (STRING, tokens[:9] + [b"a" * 2000] + tokens[10:]))
    bad("precompiled_charsmap is not an array of bytes", "precompiled_charsmap", (I32, [1, 2]))
    bad("precompiled_charsmap of 5 bytes", "precompiled_charsmap", (U8, [4, 0, 0, 0, 1]))


test_pretokenizers()
test_scored()
done()

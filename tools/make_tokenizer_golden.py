#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make tests/golden/sentencepiece and its rows in tests/golden/tokenizers, and tests/golden/pretokenizers.json: small
vocabularies trained by the `sentencepiece` (0.2.3) and `tokenizers` (0.23) packages, and the ids that those give.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install sentencepiece==0.2.3 tokenizers==0.23.3 protobuf
    /tmp/golden/bin/python tools/make_tokenizer_golden.py tests/golden

Run it in the project's root. The texts are those of tests/golden/tokenizers/embedded.json; vocabularies are trained on
them and on models/stories-4m/unseen.txt, with one thread and seed 7. `ids` of a SentencePiece model are those of the
stretches between its control and unknown pieces, which the library itself never finds in a text; its
`ids_special_as_text` are the library's of the whole.
"""
import io
import json
import os
import random
import re
import sys
import unicodedata

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = sys.argv[1]
ROWS = [row for row in json.load(open("tests/golden/tokenizers/embedded.json"))["rows"] if "bytes" not in row]
OWN = ["...wait.. .", "a\u00a0\u00a0b", " \u3000 x \u3000", "e\u0301e\u0301\u0301 A\u030a", "\r\n\r\n\rx", "<table><b>abab</table> aab",
       "\u200bzero\u200b", "unknown ⚗ ⚗⚗ \U0001fae0!", "\u2581\u2581 a \u2581b", "  <s>  a</s>b <unk>c", "   a   b    \n\n\n\n\n c"]
TEXTS = [row["text"] for i, row in enumerate(ROWS) if len(row["text"]) <= 70 and i % 2 == 0 or i > 80] + OWN
STORIES = open("models/stories-4m/unseen.txt").read()
CORPUS = [line for line in STORIES.split("\n") if line.strip()] + [t for row in ROWS for t in row["text"].split("\n")] * 6


# ---- SentencePiece


def rules():
    """A few normalization rules as `source<TAB>target`, hexadecimal code points; several characters, none, and spaces."""
    ranges = ((0xFF01, 0xFF5E), (0x2460, 0x2469), (0xB2, 0xB3), (0xBC, 0xBE), (0xFB00, 0xFB04), (0x2160, 0x216B), (0x1D400, 0x1D433))
    out = {(c,): [ord(x) for x in unicodedata.normalize("NFKC", chr(c))] for a, b in ranges for c in range(a, b + 1)}
    out.update({(c,): [0x20] for c in (9, 10, 13, 0xA0, 0x2003, 0x3000)})
    out.update({(0x200B,): [], (13, 10): [0x20], (0x2E, 0x2E, 0x2E): [0x2026], (0x2E, 0x2E): [0x2E]})
    out.update({(0x65, 0x301): [0xE9], (0x41, 0x30A): [0xC5], (0x63, 0x61, 0x66, 0xE9): [0x63, 0x61, 0x66, 0x65]})
    return "".join(" ".join(f"{c:X}" for c in k) + "\t" + " ".join(f"{c:X}" for c in v) + "\n" for k, v in sorted(out.items()))


def train(name, config=None, **options):
    spm.set_random_generator_seed(7)
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, num_threads=1, hard_vocab_limit=False, minloglevel=2, **options)
    folder = os.path.join(OUT, "sentencepiece", name)
    os.makedirs(folder, exist_ok=True)
    parsed = proto.ModelProto()
    parsed.ParseFromString(model.getvalue())
    for field in ("input", "model_prefix"):
        parsed.trainer_spec.ClearField(field)
    parsed.normalizer_spec.ClearField("normalization_rule_tsv")
    data = parsed.SerializeToString(deterministic=True)
    with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
        f.write(data)
    if config is not None:
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
            json.dump(config, f)
    sp = spm.SentencePieceProcessor(model_proto=data)
    special = {sp.id_to_piece(i): i for i in range(len(sp)) if sp.is_control(i) or sp.is_unknown(i)}
    split = re.compile("(" + "|".join(re.escape(s) for s in sorted(special, key=len, reverse=True)) + ")")
    config = config or {}
    bos = [sp.bos_id()] if config.get("add_bos_token", options["model_type"] == "bpe") and sp.bos_id() >= 0 else []
    eos = [sp.eos_id()] if config.get("add_eos_token") else []
    rows = []
    for text in TEXTS:
        parts = [[special[p]] if p in special else sp.encode(p) for p in split.split(text)]
        ids, plain = [i for p in parts for i in p], sp.encode(text)
        row = {"text": text, "ids": bos + ids + eos, "ids_without_added": ids, "ids_special_as_text": plain}
        rows.append(row)
    choose = random.Random(7)
    known = [i for i in range(len(sp)) if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i))]
    decode = []
    for _ in range(20):
        ids = choose.choices(known, k=choose.randrange(1, 9))
        # decoding one by one, as the program does: the library drops more than one space from the beginning
        text = "".join(sp.id_to_piece(i) for i in ids).replace("\u2581", " ")
        if parsed.normalizer_spec.add_dummy_prefix:
            text = text[1:] if text.startswith(" ") else text
        decode.append({"ids": ids, "text": text, "text_skipping_special": text})
    write_rows(name, f"tests/golden/sentencepiece/{name}", rows, decode)
    return parsed


def write_rows(name, folder, rows, decode):
    with open(os.path.join(OUT, "tokenizers", f"sentencepiece-{name}.json"), "w") as f:
        f.write(json.dumps({"tokenizer": folder}, ensure_ascii=False)[:-1] + ', "rows": [\n')
        f.write(",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + '\n], "decode": [\n')
        f.write(",\n".join(json.dumps(r, ensure_ascii=False) for r in decode) + "\n]}\n")


# ---- tokenizers


def unigram(name, model, charsmap, normalizer, pre_tokenizer, byte_fallback, post):
    pieces = [(p.piece, p.score) for p in model.pieces]
    t = Tokenizer(models.Unigram(pieces, unk_id=model.trainer_spec.unk_id, byte_fallback=byte_fallback))
    steps = ([normalizers.Precompiled(charsmap)] if charsmap else []) + normalizer
    if steps:
        t.normalizer = normalizers.Sequence(steps)
    t.pre_tokenizer = pre_tokenizer
    t.add_special_tokens([p.piece for p in model.pieces if p.type in (2, 3)])
    t.decoder = (decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
                 if byte_fallback else decoders.Metaspace())
    if post:
        t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", t.token_to_id("</s>"))])
    folder = os.path.join(OUT, "sentencepiece", name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "tokenizer.json")
    t.save(path, pretty=False)
    t = Tokenizer.from_file(path)
    # the same without special tokens in the text: they are no added tokens there
    document = json.load(open(path))
    document["added_tokens"] = []
    plain = Tokenizer.from_str(json.dumps(document))
    rows = []
    for text in TEXTS:
        ids = t.encode(text).ids
        rows.append({
            "text": text, "ids": ids, "ids_without_added": t.encode(text, add_special_tokens=False).ids,
            "ids_special_as_text": plain.encode(text, add_special_tokens=False).ids,
            "decoded": t.decode(ids, skip_special_tokens=False), "decoded_skipping_special": t.decode(ids)})
    choose, decode = random.Random(7), []
    for _ in range(20):
        ids = choose.choices(range(t.get_vocab_size()), k=choose.randrange(1, 9))
        decode.append({"ids": ids, "text": t.decode(ids, skip_special_tokens=False), "text_skipping_special": t.decode(ids)})
    write_rows(name, f"tests/golden/sentencepiece/{name}", rows, decode)


def byte_level(regex):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s|")
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
PRE_TOKENIZERS = {  # normalizer, pre-tokenizer, ignore_merges: as in the tokenizer.json of the models
    "gpt-2": (None, pre_tokenizers.ByteLevel(add_prefix_space=False), False),
    "smollm": (None, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), False),
    "llama-bpe": (None, byte_level(
        SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), True),
    "qwen2": (normalizers.NFC(), byte_level(
        SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), False),
    "tekken": (None, byte_level(
        CASED % ("", "") + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"), True),
    "gpt-4o": (None, byte_level(
        CASED % (SHORT + "?", SHORT + "?") + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"), False),
}


def pretokenizers():
    """One vocabulary, trained without cutting texts into words, so that its merges go over every boundary."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                  max_token_length=7)
    t.train_from_iterator([STORIES[i : i + 500] for i in range(0, 20000, 500)] + [row["text"] for row in ROWS] * 4, trainer)
    model = json.loads(t.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get) + ["<|begin|>", "<|end|>", "<tool>"]
    merges = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
    ids = {}
    for name, (normalizer, pre_tokenizer, ignore_merges) in PRE_TOKENIZERS.items():
        own = Tokenizer(models.BPE(vocab={x: i for i, x in enumerate(tokens)}, merges=[tuple(m) for m in merges],
                                   ignore_merges=ignore_merges))
        if normalizer:
            own.normalizer = normalizer
        own.pre_tokenizer = pre_tokenizer
        own.add_special_tokens(["<|begin|>", "<|end|>"])
        own.add_tokens(["<tool>"])
        ids[name] = [own.encode(text).ids for text in TEXTS]
    with open(os.path.join(OUT, "pretokenizers.json"), "w") as f:
        head = {"tokens": tokens, "special": 2, "user_defined": 1, "merges": [" ".join(m) for m in merges]}
        f.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "texts": [\n')
        f.write(",\n".join(json.dumps(text, ensure_ascii=False) for text in TEXTS) + '\n], "ids": {\n')
        f.write(",\n".join(json.dumps(name) + ": " + json.dumps(lists) for name, lists in ids.items()) + "\n}}\n")


with open("/tmp/rules.tsv", "w") as f:
    f.write(rules())
train("bpe-bytes", model_type="bpe", vocab_size=700, byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
      normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.98)
train("bpe-symbols", {"add_bos_token": True, "add_eos_token": True, "bos_token": {"content": "<bos>"}, "eos_token": "<eos>"},
      model_type="bpe", vocab_size=700, byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False,
      remove_extra_whitespaces=False, character_coverage=0.98, pad_id=0, eos_id=1, bos_id=2, unk_id=3, bos_piece="<bos>",
      eos_piece="<eos>", user_defined_symbols=["\n", "\n\n", "\n\n\n", "\u2581\u2581", "\u2581\u2581\u2581\u2581", "<table>",
                                               "</table>", "ab", "aba"], control_symbols=["<|user|>", "<|end|>"])
plain = train("bpe-rules", model_type="bpe", vocab_size=600, normalization_rule_tsv="/tmp/rules.tsv", character_coverage=0.98)
nfkc = train("unigram-nfkc", {"add_bos_token": False, "add_eos_token": True}, model_type="unigram", vocab_size=700,
             normalization_rule_name="nmt_nfkc", character_coverage=0.98)
bytes_ = train("unigram-bytes", model_type="unigram", vocab_size=800, byte_fallback=True, normalization_rule_tsv="/tmp/rules.tsv",
               remove_extra_whitespaces=False, character_coverage=0.98, user_defined_symbols=["\n", "\u2581\u2581", "<table>", "ab", "aba"])
rules_map = plain.normalizer_spec.precompiled_charsmap
unigram("unigram-json", nfkc, rules_map, [], pre_tokenizers.Metaspace(prepend_scheme="always"), False, True)
unigram("unigram-words", bytes_, rules_map, [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "\u2581")],
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]), True, False)
pretokenizers()
os.remove("/tmp/rules.tsv")

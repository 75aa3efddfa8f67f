#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizers of the library with Hugging Face's `tokenizers` on random Unicode strings.

  python3 -m venv /tmp/e && /tmp/e/bin/pip install tokenizers
  /tmp/e/bin/python tools/compare_tokenizers.py build/libentrollm.so COUNT SEED FILE...

COUNT strings for all FILEs together (tokenizer.json), in turns. Of each, ids with and without the post-processor are
compared, then the text of these ids, with and without special tokens, and the text of as many random ids. Prints each
difference with its string; the exit status is 1 if there is one."""

import ctypes
import random
import sys

import tokenizers


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 496)]


class Tokenizer:
    """The library's."""

    def __init__(self, path):
        data = open(path, "rb").read()
        self.handle, self.error = ctypes.c_void_p(), Error()
        if lib.ellm_tokenizer_create(data, ctypes.c_size_t(len(data)), path.encode(), ctypes.byref(self.handle),
                                     ctypes.byref(self.error)):
            raise SystemExit(self.error.message.decode())
        self.size = lib.ellm_tokenizer_vocab_size(self.handle)

    def encode(self, text, post):
        data, ids, n = text.encode(), ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_size_t()
        if lib.ellm_tokenizer_encode(self.handle, data, ctypes.c_size_t(len(data)), 0 if post else 1, ctypes.byref(ids),
                                     ctypes.byref(n), ctypes.byref(self.error)):
            return self.error.message.decode()
        out = ids[:n.value]
        libc.free(ids)
        return out

    def decode(self, ids, skip):
        text, n = ctypes.c_void_p(), ctypes.c_size_t()
        if lib.ellm_tokenizer_decode(self.handle, (ctypes.c_uint32 * len(ids))(*ids), ctypes.c_size_t(len(ids)), skip,
                                     ctypes.byref(text), ctypes.byref(n), ctypes.byref(self.error)):
            return None
        out = ctypes.string_at(text, n.value).decode()
        libc.free(text)
        return out


BLOCKS = [(0x20, 0x7F)] * 6 + [(0, 0x20), (0x80, 0x250), (0x300, 0x370), (0x370, 0x400), (0x400, 0x530), (0x590, 0x700),
          (0x900, 0xD80), (0xE00, 0xF00), (0x1100, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2C00),
          (0x3000, 0x3200), (0x3400, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xE100), (0xF900, 0xFB50), (0xFB50, 0xFE00),
          (0xFE00, 0xFFFF), (0x10000, 0x11000), (0x1D400, 0x1D800), (0x1F000, 0x1FB00), (0x20000, 0x20100),
          (0xE0000, 0xE0200), (0x10FF00, 0x10FFFF), (0, 0x110000)]
WORDS = ["the", " of", "ing", "Don't", "I'LL", "'re", "e\u0301", "\u00e9", "1234567890", "3.14", "  ", "\n\n", "\r\n", "\t",
         "\u00a0", "\u3000", "\u2581", "\u200d", "\ufe0f", "\U0001F468\u200d\U0001F469", "\ufb01", "\u0130", "\u01c5",
         "\u1e9e", "x" * 40, " " * 17, "\u202e", "\ufeff", "\u0000", "\u4e2d\u6587", "\u0e2d\u0e33", "\u1100\u1161\u11a8"]


def made(r, special):
    parts = []
    for _ in range(r.randrange(1, r.choice((3, 8, 25)))):
        what = r.random()
        if what < 0.45:
            low, high = r.choice(BLOCKS)
            points = [r.randrange(low, high) for _ in range(r.randrange(1, 9))]
            parts.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
        elif what < 0.85 or not special:
            parts.append(r.choice(WORDS))
        else:
            parts.append(r.choice(special))
        if r.random() < 0.3:
            parts.append(" " * r.randrange(1, 4))
    return "".join(parts)


def main():
    global lib, libc
    lib, libc = ctypes.CDLL(sys.argv[1]), ctypes.CDLL(None)
    lib.ellm_tokenizer_vocab_size.restype = ctypes.c_size_t
    libc.free.argtypes = [ctypes.c_void_p]
    count, seed, files = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    r, different, done = random.Random(seed), 0, {f: 0 for f in files}
    pairs = [(f, Tokenizer(f), tokenizers.Tokenizer.from_file(f)) for f in files]
    added = {f: [t.content for t in theirs.get_added_tokens_decoder().values()] for f, _, theirs in pairs}

    def differ(path, what, text, ours, theirs):
        nonlocal different
        different += 1
        print(f"{path}: {what} of {text!r}:\n  ours   {ours!r}\n  theirs {theirs!r}", flush=True)

    for i in range(count):
        path, ours, theirs = pairs[i % len(pairs)]
        text = made(r, added[path])
        done[path] += 1
        for post in (True, False):
            want, have = theirs.encode(text, add_special_tokens=post).ids, ours.encode(text, post)
            if want != have:
                differ(path, "ids" if post else "plain ids", text, have, want)
        some = [r.randrange(ours.size) for _ in range(r.randrange(1, 12))]
        for ids in (want, some):
            for skip in (True, False):
                if ids and theirs.decode(ids, skip_special_tokens=skip) != ours.decode(ids, skip):
                    differ(path, f"text (skip {skip})", ids, ours.decode(ids, skip),
                           theirs.decode(ids, skip_special_tokens=skip))
    for path, n in done.items():
        print(f"{path}: {n} strings")
    print(f"{count} strings, seed {seed}, tokenizers {tokenizers.__version__}: {different} differences")
    return different != 0


if __name__ == "__main__":
    sys.exit(main())

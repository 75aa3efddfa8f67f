#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes expressions.json: what the `tokenizers` library (0.23) matches with regular expressions.

`expressions`: a pattern, texts, and the ends (in bytes) of the pieces into which Split/Isolated cuts each of them.
`sets`: a pattern for one character, how many of all code points match it, and the FNV-1a digest (64 bits) of the
first and last code point of each run of them, as 32-bit little-endian numbers; surrogates are no code points.
"""

import json
import os
import random

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

HERE = os.path.dirname(os.path.abspath(__file__))
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
POSIX = "alnum alpha ascii blank cntrl digit graph lower print punct space upper xdigit word".split()
SCRIPTS = ("Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han Hangul "
           "Hebrew Hiragana Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Oriya Sinhala Tamil Telugu "
           "Thai Tibetan").split()
CATEGORIES = "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf Co".split()
ESCAPES = [r"\s", r"\S", r"\d", r"\D", r"\w", r"\W", r"\h", r"\H", r"\n", r"\t", r"\p{L}", r"\P{L}", r"\p{^Lu}",
           r"\p{Han}", r"\P{Han}", r"\p{Greek}", r"\p{Punct}", r"\p{Alpha}", r"\p{So}", r"\p{Latin}", r"\p{M}",
           r"\p{hiragana}"]
CHARACTERS = list("abcxyzABC019 _-,.!?[]&^\\()|{}$+*'\"\t\n\r\v\f<=>~`@#%;:/") + list(
    "漢字かなカナ한éßÀªº²³¼ⅧⒶαΩжЯאبना‿\u0301\u200d\u2028\x85\xa0\u3000…。，、。،۔।😀🇩🇪€−＋＿𱍐")
KNOWN = [
    r" ?[^(\s|[.,!?…。，、।۔،])]+",  # BLOOM, Viking, Poro
    r"\p{L}+|[[:punct:]]+|\h|.",
    r"[a-z&&[^aeiou]]+", r"[^a-z&&[aeiou]]+", r"[\w&&[^\d_]]+", r"[\p{Han}\p{Hiragana}\p{Katakana}]+",
    r"\R", r"\R+|\s", r"(?:\r|\R)x", r"[[:alpha:][:digit:]]+|[[:space:]]+", r"[^\P{Han}]+", r"[\p{L}&&\P{Latin}]+",
    r"[a[^b]]", r"[^a[^b]]", r"[[[a]b]c]+", r"[^\W\d_]+", r"(?<=[a-c&&[^b]])x", r"\h{2}|\H", r"[-a&&[-]]+", r"[\p{Word}]+",
]
NAMED = [r"\p{han}", r"\p{HIRA GANA}", r"\p{Hani}", r"\p{Latn}", r"\p{Cyrl}", r"\p{Uppercase_Letter}",
         r"\p{white-space}", r"\p{Decimal_Number}", r"\p{Other Punctuation}", r"\p{Alphabetic}", r"\p{Lowercase}",
         r"\p{Private_Use}"]


def item(rng, depth):
    r = rng.random()
    if r < 0.35:
        c = rng.choice(CHARACTERS)
        return "\\" + c if c in "[]\\^-&(){}.?*+|$" else c
    if r < 0.45:
        return rng.choice(["a-f", "0-5", "A-Z", "α-ω", "一-龥", "\u0300-\u036f", " -/", "あ-ん", "\u00a0-\u00ff"])
    if r < 0.75:
        return rng.choice(ESCAPES)
    if r < 0.85 or depth == 3:
        negated = "^" if rng.random() < 0.4 else ""
        name = rng.choice(POSIX)
        return f"[:{'' if name == 'ascii' else negated}{name}:]"
    return group(rng, depth + 1)


def group(rng, depth=0):
    out = "[" + ("^" if rng.random() < 0.3 else "")
    for k in range(rng.choice([1, 1, 2, 2, 3])):
        out += "&&" if k and rng.random() < 0.4 else ""
        out += "".join(item(rng, depth) for _ in range(rng.choice([1, 1, 2, 3])))
    return out + "]"


def pattern(rng):
    parts = []
    for _ in range(rng.choice([1, 1, 2])):
        plain = [r"\R", r"\h", r"\W", r"\p{Han}", r"\p{^Han}", "[[:punct:]]", "a", "漢"]
        part = group(rng) if rng.random() < 0.8 else rng.choice(plain)
        parts.append(part + rng.choice(["", "", "+", "*?", "+?", "?", "{1,2}", "++"]))
    return rng.choice(["", "|"]).join(parts)


def pieces(regex, text):
    split = Split(regex, "isolated").pre_tokenize_str(text)
    return [len(text[:end].encode()) for _, (_, end) in split]


def expressions():
    rng, rows = random.Random(7), []
    for source in KNOWN + [pattern(rng) for _ in range(180)]:
        regex = Regex(source)
        texts = ["".join(rng.choice(CHARACTERS) for _ in range(n)) for n in (12, 30)]
        texts.append("a漢b c, d\r\nx\n\nFe12 9_z bax—Ünï. ")
        rows.append({"pattern": source, "texts": [[text, pieces(regex, text)] for text in texts]})
    return rows


def digest(runs):
    value = 0xCBF29CE484222325
    for run in runs:
        for number in run:
            for byte in number.to_bytes(4, "little"):
                value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def sets():
    chunks = [ALL[i : i + 20000] for i in range(0, len(ALL), 20000)]
    texts = ["".join(map(chr, chunk)) for chunk in chunks]
    sources = [rf"\p{{{name}}}" for name in CATEGORIES + SCRIPTS + POSIX] + NAMED
    sources += [f"[[:{name}:]]" for name in POSIX] + [r"\h", r"\w", r"[\w]", r"\s", r"\d", r"[\W]", r"[^\p{Han}\W]"]
    rows = []
    for source in sources:
        split, members = Split(Regex(source), "removed"), []
        for chunk, text in zip(chunks, texts):
            at = 0
            for _, (begin, end) in split.pre_tokenize_str(text):
                members += chunk[at:begin]
                at = end
            members += chunk[at:]
        runs = []
        for c in members:
            if runs and (runs[-1][1] == c - 1 or (runs[-1][1] == 0xD7FF and c == 0xE000)):
                runs[-1][1] = c
            else:
                runs.append([c, c])
        rows.append({"pattern": source, "count": len(members), "digest": digest(runs)})
    return rows


if __name__ == "__main__":
    with open(os.path.join(HERE, "expressions.json"), "w") as f:
        rows = {name: rows() for name, rows in (("expressions", expressions), ("sets", sets))}
        lines = [f' "{k}": [\n  ' + ",\n  ".join(json.dumps(r) for r in v) + "\n ]" for k, v in rows.items()]
        f.write("{\n" + ",\n".join(lines) + "\n}\n")

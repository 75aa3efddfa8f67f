#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/GLOSSARY.md has every word that the names of the public header are made of, and each of its own words once."""

import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
from cli_testing import *

# Words of C and of programs at large, which a glossary of this project need not explain.
PLAIN = set("""abi accept add advise at bench bytes calibrate cancel check close compress count cpu
create decode decompress describe encode error evaluate file find flags fn force forget format free get
gsm8k ids info init is item job length limit logits matrix model name next of open options part
perplexity read render request reserve restore result row run same save saved seconds set size special
speed step text tokenizer truncate usage verify version vocab""".split())

glossary = read(os.path.join(ROOT, "docs", "GLOSSARY.md")).decode()
entries = re.findall(r"^\| ((?:\*\*[^|]+)) \|", glossary, re.MULTILINE)
terms = [t.strip() for e in entries for t in re.findall(r"\*\*([^*]+)\*\*", e)]
ok(len(terms) > 80, "there are entries", len(terms))
equal(sorted({t for t in terms if terms.count(t) > 1}), [], "no word is explained twice")
known = " ".join(entries + re.findall(r"\*\*([^*]+)\*\*", glossary)).lower()
headers = sorted(glob.glob(os.path.join(ROOT, "include", "*.h")))
header = "".join(read(path).decode() for path in headers)
words = {w.lower() for name in re.findall(r"\bellm_(\w+)", header) for w in name.split("_")}
missing = sorted(w for w in words - PLAIN - {"x"} if w not in known and w.rstrip("s") not in known)
equal(missing, [], "every other word of the public names is in the glossary")
equal(sorted(PLAIN - words), [], "no word is excused that the header does not have")
done()

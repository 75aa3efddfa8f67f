#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/howto fit the sources: each line that they change stands where they say, one time. (That what comes
out builds and works, `tools/try_howto.py PAGE COPY --run` tells.)"""

import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
from cli_testing import *

sys.path.insert(0, os.path.join(ROOT, "tools"))
import try_howto

pages = sorted(glob.glob(os.path.join(ROOT, "docs", "howto", "*.md")))
ok(len(pages) > 1, "there are pages", pages)
for page in pages:
    name = os.path.basename(page)
    try:
        texts = try_howto.sources_after(page, ROOT)
        ok(len(texts) > 1 or name == "README.md", f"{name} fits", sorted(texts))
    except try_howto.Mistake as mistake:
        ok(False, f"{name} fits", mistake)
done()

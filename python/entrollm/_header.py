# SPDX-License-Identifier: Apache-2.0
"""The declarations of entrollm.h in the form that cffi reads.

The header is the one place of all declarations and of the version. This module turns its text into a `cdef`: comments,
conditions and the mark of exported functions go, all else stays. An installed package holds the result, made when it
was built (setup.py); in a source tree it is made when the package is imported.
"""
from __future__ import annotations

import os
import re
from typing import NamedTuple

__all__ = ["Header", "read_header", "source_header"]

# What the C library's <time.h> has; conversations are rendered with a local time.
_PRELUDE = """\
struct tm { int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst;
            long tm_gmtoff; const char *tm_zone; };
void free(void *memory);
"""


class Header(NamedTuple):
    cdef: str     # for FFI.cdef
    version: str  # "MAJOR.MINOR.PATCH"
    abi: int      # ELLM_ABI, the number in libentrollm.so.N


def _without_comments(text: str) -> str:
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.sub(r"//[^\n]*", "", text)


def _include_own(text: str, folder: str) -> str:
    """Puts headers of the same folder in the place of their #include."""

    def own(match: "re.Match[str]") -> str:
        with open(os.path.join(folder, match.group(1)), encoding="utf-8") as file:
            return _without_comments(file.read())

    return re.sub(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"[ \t]*$', own, text, flags=re.MULTILINE)


def read_header(path: str) -> Header:
    """Reads entrollm.h at `path`. ValueError where its version cannot be found."""
    with open(path, encoding="utf-8") as file:
        text = _include_own(_without_comments(file.read()), os.path.dirname(path))
    numbers = dict(re.findall(r"^#define ELLM_(VERSION_[A-Z]+|ABI) (\d+)[ \t]*$", text, re.MULTILINE))
    try:
        version = ".".join(numbers["VERSION_" + part] for part in ("MAJOR", "MINOR", "PATCH"))
        abi = int(numbers["ABI"])
    except KeyError as missing:
        raise ValueError(f"{path}: there is no line '#define ELLM_{missing.args[0]} NUMBER'") from None
    text = re.sub(r"^#ifdef __cplusplus$.*?^#endif$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bELLM_API\b", "", text)
    # the inline ellm_X_init that this macro defines, too, is for C alone
    text = re.sub(r"\bELLM_INIT\((\w+)\)", r"void \1_init_sized(\1 *given, size_t size);", text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return Header(_PRELUDE + "\n".join(line for line in lines if line) + "\n", version, abi)


def source_header() -> str | None:
    """The header of the source tree that this package lies in, or None."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(os.path.dirname(os.path.dirname(here)), "include", "entrollm.h")
    return path if os.path.isfile(path) else None

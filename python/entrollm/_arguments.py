# SPDX-License-Identifier: Apache-2.0
"""Arguments of Python as values of C: each is checked here, so that an error names the argument and what it was."""
from __future__ import annotations

import math
import operator
import os
import secrets
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Union

import numpy

from ._library import ffi
from .errors import UsageError

__all__ = ["Path", "Ids", "integer", "number", "flag", "choice", "path", "text", "seed", "ids", "text_list", "size"]

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
Ids = Union[Sequence[int], Iterable[int], "numpy.ndarray[Any, Any]"]

INT_MAX = 2**31 - 1


def integer(name: str, value: Any, least: int, most: int, default: int = 0) -> int:
    """None is the default."""
    if value is None:
        return default
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not bool")
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if not least <= whole <= most:
        raise UsageError(f"{name} {_short(whole)} is not in {least}..{most}")
    return whole


def number(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number of a C float's range."""
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    try:
        real = float(value)
    except OverflowError:
        raise UsageError(f"{name} {_short(value)} is too large") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}") from None
    if not math.isfinite(real) or abs(real) > 3.4e38 or not least <= real <= most:
        both = math.isfinite(least) and math.isfinite(most)
        where = f" in {least:g}..{most:g}" if both else f" of at least {least:g}"
        raise UsageError(f"{name} {real:g} is not a finite number" + (where if math.isfinite(least) else ""))
    return real


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, numpy.bool_)):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return bool(value)


def choice(name: str, value: Any, values: Mapping[str, int], default: int = 0) -> int:
    """None is the default."""
    if value is None:
        return default
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(values)}, not {type(value).__name__}")
    if value not in values:
        raise UsageError(f"{name} {value[:40]!r} is none of {', '.join(values)}")
    return values[value]


def path(name: str, value: Any) -> bytes:
    try:
        data = os.fsencode(value)
    except TypeError:
        raise TypeError(f"{name} must be a path, not {type(value).__name__}") from None
    except UnicodeEncodeError:
        raise UsageError(f"{name} {value!r} has characters that no path can have") from None
    if not data:
        raise UsageError(f"{name} is empty")
    if b"\0" in data:
        raise UsageError(f"{name} has a NUL in it")
    return data


def text(name: str, value: Any) -> bytes:
    """As UTF-8. Bytes are taken as they are."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name} must be str or bytes, not {type(value).__name__}")
    try:
        return value.encode()
    except UnicodeEncodeError as wrong:
        raise UsageError(f"{name} has a lone surrogate at character {wrong.start}") from None


def text_list(name: str, values: Any) -> List[Any]:
    """One text or several as char[]s, which must not be empty nor hold a NUL."""
    if values is None:
        return []
    if isinstance(values, (str, bytes)):
        values = [values]
    try:
        each = list(values)
    except TypeError:
        raise TypeError(f"{name} must be a text or a list of texts, not {type(values).__name__}") from None
    encoded = [text(f"{name}[{i}]", value) for i, value in enumerate(each)]
    for i, data in enumerate(encoded):
        if not data or b"\0" in data:
            raise UsageError(f"{name}[{i}] " + ("has a NUL in it" if data else "is empty"))
    return [ffi.new("char[]", data) for data in encoded]


def ids(name: str, value: Any) -> "numpy.ndarray[Any, numpy.dtype[numpy.uint32]]":
    """Token ids: any sequence of integers, in one dimension."""
    if isinstance(value, (str, bytes, Mapping)):
        raise TypeError(f"{name} must be token ids, not {type(value).__name__}")
    if not isinstance(value, numpy.ndarray):
        try:
            each = list(value)
        except TypeError:
            raise TypeError(f"{name} must be token ids, not {type(value).__name__}") from None
        value = numpy.array(each)
        if value.dtype.kind not in "iu" or value.ndim != 1:  # one by one, to say which is wrong
            value = numpy.array([integer(f"{name}[{i}]", one, 0, 2**32 - 1) for i, one in enumerate(each)],
                                dtype=numpy.uint32)
    if value.ndim != 1:
        raise UsageError(f"{name} must have one dimension, not {value.ndim}")
    if value.size == 0:
        return numpy.zeros(0, dtype=numpy.uint32)
    if value.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {value.dtype}")
    if value.dtype != numpy.uint32 and not 0 <= int(value.min()) <= int(value.max()) < 2**32:
        wrong = int(value.min()) if value.min() < 0 else int(value.max())
        raise UsageError(f"{name} has {_short(wrong)}, which is no token id")
    return numpy.ascontiguousarray(value, dtype=numpy.uint32)


def seed(value: Any) -> int:
    """None draws one."""
    return secrets.randbits(63) if value is None else integer("seed", value, 0, 2**64 - 1)


_SIZES = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20,
          "gib": 2.0**30, "k": 2.0**10, "m": 2.0**20, "g": 2.0**30}


def size(name: str, value: Any, least: float) -> float:
    """Bytes: a number, or a text as the program takes it: "1.9GiB", "750 MB"."""
    if isinstance(value, str):
        digits = value.rstrip("BKMGTbkmgti ")
        try:
            value = float(digits) * _SIZES[value[len(digits):].strip().lower()]
        except (KeyError, ValueError):
            raise UsageError(f"{name} {value[:40]!r} is not a size (1.9GiB, 750MB, ...)") from None
    return number(name, value, least, 1e15)


def _short(value: Any) -> str:
    """A number that may have any number of digits."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "of more than 40 digits"
    return str(value)

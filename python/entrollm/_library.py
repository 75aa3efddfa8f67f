# SPDX-License-Identifier: Apache-2.0
"""The shared library: finding and loading it, its structs, its errors and its callbacks.

Searched, in this order: the file that ENTROLLM_LIBRARY names, the one that lies in this package (a wheel brings it),
the system's by its name, libentrollm.so.N. Its ABI number must be the one that this package was made for.

Calls release the GIL (cffi does); callbacks take it back. What a callback raises cannot pass through C: it is kept, the
callback answers "stop", and the exception is raised when the call has come back (`Callbacks`).
"""
from __future__ import annotations

import importlib
import logging
import os
from typing import Any, Callable, List, Optional, Type

from . import errors

__all__ = ["ffi", "lib", "ABI", "VERSION", "Callbacks", "Progress", "check", "make_struct", "owned", "call", "text_of"]

try:  # an installed package
    ffi: Any = importlib.import_module("entrollm._declarations").ffi
    VERSION, ABI = importlib.import_module("entrollm._version").NUMBERS
except ImportError:
    from . import _header

    _path = _header.source_header()
    if _path is None:
        raise ImportError("entrollm: the package has neither its declarations nor the header they are made of: "
                          "install it by 'pip install .' in a source tree") from None
    import cffi

    _read = _header.read_header(_path)
    VERSION, ABI = _read.version, _read.abi
    ffi = cffi.FFI()
    ffi.cdef(_read.cdef)


def _load() -> Any:
    soname = f"libentrollm.so.{ABI}"
    named = os.environ.get("ENTROLLM_LIBRARY", "")
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), soname)
    path = named or (beside if os.path.exists(beside) else soname)
    try:
        loaded = ffi.dlopen(path)
    except OSError as refused:
        hint = "" if named else " (ENTROLLM_LIBRARY may name the file)"
        raise ImportError(f"entrollm: {path} cannot be loaded{hint}: {refused}") from None
    try:
        found = int(loaded.ellm_abi())
    except AttributeError:
        raise ImportError(f"entrollm: {path} is no libentrollm.so, or one that is too old to tell its ABI number; this "
                          f"package is made for {ABI}") from None
    if found != ABI:
        raise ImportError(f"entrollm: {path} has the ABI number {found}, this package is made for {ABI}")
    return loaded


lib: Any = _load()
_log = logging.getLogger("entrollm")


# --------------------------------------------------------------------- texts


def text_of(pointer: Any, length: Optional[int] = None) -> str:
    """A text of the library; what is no UTF-8, such as a path of the system, keeps its bytes as surrogates."""
    data: bytes = ffi.string(pointer) if length is None else ffi.buffer(pointer, length)[:]
    return data.decode("utf-8", "surrogateescape")


# -------------------------------------------------------------------- errors


def check(status: int, err: Any) -> None:
    """Raises what a status stands for."""
    if status != 0:
        kind: Type[errors.Error] = errors.BY_STATUS.get(int(status), errors.InternalError)
        raise kind(text_of(err.message))


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a function whose last parameter is an ellm_error, and raises its error."""
    err = ffi.new("ellm_error *")
    check(function(*arguments, err), err)


# ------------------------------------------------------- structs and handles

def make_struct(name: str) -> Any:
    """A struct that begins with its size, with the library's defaults. The memory lives as long as what is returned."""
    struct = ffi.new(name + " *")
    getattr(lib, name + "_init_sized")(struct, ffi.sizeof(name))
    return struct


def owned(pointer: Any, free: Callable[[Any], None]) -> Any:
    """A handle that frees itself when the last reference goes. Not in a child process after a fork: the threads of a
    model are not there, and what it shares with its parent is the parent's."""
    process = os.getpid()

    def release(handle: Any) -> None:
        if os.getpid() == process:
            free(handle)

    return ffi.gc(pointer, release)


# ----------------------------------------------------------------- callbacks


class Progress:
    """How far an operation is.

    `stage` names what is being done ("analyse", "encode", "verify", ...), `tensor` the tensor at work or "", `done` and
    `total` count in `unit` ("bytes", "items", "tokens", "weights"); `total` is 0 where it is not known.
    """

    __slots__ = ("stage", "tensor", "done", "total", "unit")

    def __init__(self, stage: str, tensor: str, done: int, total: int, unit: str) -> None:
        self.stage, self.tensor, self.done, self.total, self.unit = stage, tensor, done, total, unit

    @property
    def fraction(self) -> Optional[float]:
        """Between 0 and 1, or None."""
        return min(1.0, self.done / self.total) if self.total else None

    def __repr__(self) -> str:
        return (f"Progress(stage={self.stage!r}, tensor={self.tensor!r}, done={self.done}, total={self.total}, "
                f"unit={self.unit!r})")


_UNITS = {0: "bytes", 1: "items", 2: "tokens", 3: "weights"}


class Callbacks:
    """The callbacks of one call: progress, which always runs, so that Ctrl-C ends the call; and notes.

    `progress` may return False to stop; whatever else goes on. Notes go to `notes`, or else to the logger "entrollm".
    """

    def __init__(self, progress: Optional[Callable[[Progress], Any]] = None,
                 notes: Optional[Callable[[str], Any]] = None) -> None:
        for name, function in (("progress", progress), ("notes", notes)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be callable or None, not {type(function).__name__}")
        self._raised: List[BaseException] = []
        self._progress, self._notes = progress, notes
        self.progress = ffi.callback("bool(void *, const ellm_progress *)", self._on_progress, error=False,
                                     onerror=self._keep)
        self.notes = ffi.callback("void(void *, const char *)", self._on_note, onerror=self._keep)

    def _keep(self, kind: Any, value: Any, trace: Any) -> None:
        self._raised.append(value.with_traceback(trace))

    def _on_progress(self, user: Any, step: Any) -> bool:
        if self._raised:
            return False
        if self._progress is None:
            return True
        told = Progress(text_of(step.stage), text_of(step.tensor), int(step.done), int(step.total),
                        _UNITS.get(int(step.unit), "?"))
        return self._progress(told) is not False

    def _on_note(self, user: Any, line: Any) -> None:
        text = text_of(line)
        if self._notes is None:
            _log.warning("%s", text)
        else:
            self._notes(text)

    def call(self, function: Callable[..., int], *arguments: Any) -> None:
        """As `call` of this module; what a callback has raised goes before the library's error."""
        err = ffi.new("ellm_error *")
        try:
            status = function(*arguments, err)
        finally:
            self.progress = self.notes = None  # no circle stays behind
        if self._raised:
            raise self._raised[0]
        check(status, err)

# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as exceptions: one class a status of the library, each with its one-line message.

Every one is an `entrollm.Error`. Where Python has a class of its own for the matter, ours is that, too: a bad argument
is a ValueError, a file that cannot be read an OSError, so that code that knows nothing of this package does what it
should.
"""
from __future__ import annotations

__all__ = ["Error", "InternalError", "UsageError", "InputError", "ResourceError", "DifferenceError", "FullError",
           "ExistsError", "Interrupted"]


class Error(Exception):
    """An error of the library. `status` is its number, which is also the program's exit status; `message` one line."""

    status: int = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class InternalError(Error, RuntimeError):
    """A broken invariant: a bug of the library."""

    status = 1


class UsageError(Error, ValueError):
    """An argument that makes no sense, or an object that is closed."""

    status = 2


class InputError(Error, ValueError):
    """A damaged, hostile, unsupported or mismatched input: files, prompts, conversations."""

    status = 3


class ResourceError(Error, OSError):
    """The system refused: files, disk, memory."""

    status = 4


class DifferenceError(Error):
    """A verification has found a difference."""

    status = 5


class FullError(Error):
    """There is no room in the model's pool of keys and values."""

    status = 6


class ExistsError(Error, FileExistsError):
    """What was to be written is there already and was not to be replaced."""

    status = 7


class Interrupted(Error):
    """A progress callback has returned False."""

    status = 130


BY_STATUS = {kind.status: kind for kind in (InternalError, UsageError, InputError, ResourceError, DifferenceError,
                                            FullError, ExistsError, Interrupted)}

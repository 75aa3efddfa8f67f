# SPDX-License-Identifier: Apache-2.0
"""EntroLLM: language models that stay entropy-coded in memory.

    import entrollm

    with entrollm.Model("stories.ellm") as model:
        for piece in model.generate("Once upon a time", max_tokens=100, stream=True):
            print(piece, end="", flush=True)

`Model` runs models; `compress`, `inspect`, `verify` and `decompress` make files and look into them. Errors are
`entrollm.Error` (docs/PYTHON.md).
"""
from ._engine import Chance, Result, Stream
from ._library import ABI, VERSION, Progress
from ._library import lib as _lib, text_of as _text_of
from .errors import (DifferenceError, Error, ExistsError, FullError, InputError, InternalError, Interrupted,
                     ResourceError, UsageError)
from .files import CompressReport, VerifyResult, compress, decompress, inspect, verify
from .model import Model, ModelInfo, Sampling

__version__: str = VERSION

__all__ = ["Model", "ModelInfo", "Sampling", "Result", "Stream", "Chance", "Progress", "compress", "decompress",
           "inspect", "verify", "CompressReport", "VerifyResult", "Error", "InternalError", "UsageError", "InputError",
           "ResourceError", "DifferenceError", "FullError", "ExistsError", "Interrupted", "library_version", "ABI",
           "__version__"]


def library_version() -> str:
    """The version of the shared library that was loaded."""
    return _text_of(_lib.ellm_version())

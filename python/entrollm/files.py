# SPDX-License-Identifier: Apache-2.0
"""Making .ellm files and looking into them."""
from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Union

from . import _arguments as arguments
from . import _library
from ._hub import model_path
from ._library import Callbacks, Progress, ffi, lib
from .errors import DifferenceError, UsageError

__all__ = ["CompressReport", "VerifyResult", "compress", "decompress", "inspect", "verify"]

_SCHEMES = {"mixed": 0, "symmetric": 1, "asymmetric": 2}
_PREFERS = {"balanced": 0, "size": 1, "speed": 2}
_MACHINES = {"avx2": 0, "avx512": 1, "neon": 2}
_CODES = {"huffman": 0, "none": 1, "fields": 2}
_EFFORTS = {"auto": 0, "quick": 1, "full": 2}
_QUALITIES = {"tiny": 2.75, "small": 3.25, "standard": 4.25, "fine": 5.5}  # bits per weight, as the program has them
_DTYPES = {"f32": 0, "f16": 1, "bf16": 2}

Tensor = Dict[str, Any]
ProgressFunction = Callable[[Progress], Any]


class CompressReport(NamedTuple):
    """What a compression did, or would do (dry_run). `tensors`, `totals` and `assets` are those of `inspect`."""

    file: Optional[str]               # None: nothing was written
    source_bytes: int                 # tensor bytes that were read
    totals: Dict[str, Any]
    tensors: List[Tensor]
    assets: List[Dict[str, Any]]
    warnings: List[str]
    quality: Optional[Dict[str, Any]]  # of a model compressed to a size, as it was measured
    plan: Optional[Dict[str, Any]]     # of a model compressed to a size, what was expected before


class VerifyResult(NamedTuple):
    """`ok`, or `problems`, a line each: section, tensor and block. True and False accordingly."""

    ok: bool
    checked_bytes: int
    problems: List[str]

    def __bool__(self) -> bool:
        return self.ok


# ------------------------------------------------------------------ compress


def compress(source: "arguments.Path", out: Optional["arguments.Path"] = None, *,
             target_size: Union[int, float, str, None] = None, target_bpw: Optional[float] = None,
             quality: Optional[str] = None, max_kl: Optional[float] = None, lossless: bool = False,
             bits: Optional[int] = None, scheme: Optional[str] = None, code: Optional[str] = None,
             prefer: Optional[str] = None, machine: Optional[str] = None, keep: Union[str, Iterable[str]] = (),
             include: Union[str, Iterable[str]] = (), assets: bool = True, strict: bool = False, dry_run: bool = False,
             force: bool = False, resume: bool = False, threads: Optional[int] = None, effort: Optional[str] = None,
             calibrate: Optional["arguments.Path"] = None, memory: Union[int, float, str, None] = None,
             plan: Optional["arguments.Path"] = None, progress: Optional[ProgressFunction] = None,
             notes: Optional[Callable[[str], Any]] = None) -> CompressReport:
    """Compresses a checkpoint folder, a GGUF file or "hf:OWNER/NAME" into one .ellm file, as `entrollm compress` does.

    To a size, which is the default (quality "standard"), one of:
        target_size: of the file: bytes, or a text ("1.9GiB", "750MB").
        target_bpw: bits per weight.
        quality: "tiny", "small", "standard", "fine": 2.75, 3.25, 4.25, 5.5 bits per weight.
        max_kl: the smallest file whose mean divergence from the source is at most so many nats per token.
    lossless: quantize nothing; every bit comes back.
    By the paper's method, where one of these is given: bits (2 to 8; 8 if not given), scheme ("mixed", "symmetric",
        "asymmetric"), code ("huffman", "none", "fields").
    prefer: "balanced", "size", or "speed" on a `machine` ("avx2", "avx512", "neon").
    keep: globs over tensor names, stored as they are. include: globs over further files to store; assets: store licence
        and model card.
    strict: refuse what could not be run. dry_run: write nothing. force: replace `out`. resume: keep OUT.partial when
        stopped, and go on from one.
    effort ("quick", "full"), calibrate ("self", "none", or a file with text), memory, plan (a file that keeps what was
        measured): of compressing to a size.
    progress: called a few times a second with a Progress; False stops (Interrupted). Ctrl-C and exceptions of
        `progress` stop as well. Nothing half-written is left behind.
    notes: called with lines about what comes, such as how long measuring takes; None: the logger "entrollm".
    """
    options = _library.make_struct("ellm_compress_options")
    name = model_path("source", source)
    output = ffi.NULL if out is None else ffi.new("char[]", arguments.path("out", out))
    options.dry_run = arguments.flag("dry_run", dry_run)
    if out is None and not dry_run:
        raise UsageError("out is missing")
    paper = bits is not None or scheme is not None or code is not None
    _set_target(options, target_size, target_bpw, quality, max_kl, paper, lossless)
    kept = [output, _set_calibration(options, effort, calibrate, memory, plan, paper or lossless),
            _set_globs(options, "keep", keep), _set_globs(options, "include", include)]
    options.lossless = arguments.flag("lossless", lossless)
    options.bits = arguments.integer("bits", bits, 2, 8, 8)
    options.scheme = arguments.choice("scheme", scheme, _SCHEMES)
    options.code = arguments.choice("code", code, _CODES)
    options.prefer = arguments.choice("prefer", prefer, _PREFERS)
    options.machine = arguments.choice("machine", machine, _MACHINES)
    if machine is not None and prefer != "speed":
        raise UsageError("machine is of use with prefer='speed' only")
    if lossless and prefer is not None:
        raise UsageError("lossless quantizes nothing and excludes prefer")
    options.no_assets = not arguments.flag("assets", assets)
    options.strict = arguments.flag("strict", strict)
    options.overwrite = arguments.flag("force", force)
    options.resume = arguments.flag("resume", resume)
    options.threads = arguments.integer("threads", threads, 0, arguments.INT_MAX)
    callbacks = Callbacks(progress, notes)
    options.progress = callbacks.progress
    options.notes.take = callbacks.notes
    report = ffi.new("ellm_report **")
    try:
        callbacks.call(lib.ellm_compress, name, output, options, report)
        return _report(report[0], None if dry_run or out is None else arguments.path("out", out))
    finally:
        lib.ellm_report_free(report[0])
        del kept


def _set_target(options: Any, target_size: Any, target_bpw: Any, quality: Any, max_kl: Any, paper: bool,
                lossless: bool) -> None:
    given = [name for name, value in (("target_size", target_size), ("target_bpw", target_bpw), ("quality", quality),
                                      ("max_kl", max_kl)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} cannot be used together")
    if given and (paper or lossless):
        other = "lossless" if lossless else "bits, scheme and code"
        raise UsageError(f"{given[0]} and {other} cannot be used together")
    if paper and lossless:
        raise UsageError("lossless quantizes nothing and cannot be used with bits, scheme or code")
    if paper or lossless:
        return
    if target_size is not None:
        options.target, options.target_value = lib.ELLM_TARGET_BYTES, arguments.size("target_size", target_size, 1)
    elif max_kl is not None:
        options.target = lib.ELLM_TARGET_DIVERGENCE
        options.target_value = _positive("max_kl", max_kl)
    elif target_bpw is not None:
        options.target, options.target_value = lib.ELLM_TARGET_BITS, _positive("target_bpw", target_bpw)
    else:
        name = "standard" if quality is None else quality
        arguments.choice("quality", name, {one: 0 for one in _QUALITIES})
        options.target, options.target_value = lib.ELLM_TARGET_BITS, _QUALITIES[name]


def _positive(name: str, value: Any) -> float:
    real = arguments.number(name, value, 0)
    if real == 0:
        raise UsageError(f"{name} must be above 0")
    return real


def _set_calibration(options: Any, effort: Any, calibrate: Any, memory: Any, plan: Any, useless: bool) -> List[Any]:
    given = [name for name, value in (("effort", effort), ("calibrate", calibrate), ("memory", memory), ("plan", plan))
             if value is not None]
    if given and useless:
        raise UsageError(f"{given[0]} is of no use with bits, scheme, code or lossless")
    kept: List[Any] = []
    options.effort = arguments.choice("effort", effort, _EFFORTS)
    if memory is not None:
        options.memory = int(arguments.size("memory", memory, 1e6))
    if plan is not None:
        kept.append(ffi.new("char[]", arguments.path("plan", plan)))
        options.plan = kept[-1]
    if calibrate == "self":
        options.calibrate = lib.ELLM_CALIBRATE_SELF
    elif calibrate == "none":
        options.calibrate = lib.ELLM_CALIBRATE_NONE
    elif calibrate is not None:
        options.calibrate = lib.ELLM_CALIBRATE_FILE
        kept.append(ffi.new("char[]", arguments.path("calibrate", calibrate)))
        options.calibrate_file = kept[-1]
    return kept


def _set_globs(options: Any, name: str, globs: Any) -> List[Any]:
    texts = arguments.text_list(name, globs)
    if not texts:
        return []
    pointers = ffi.new("const char *[]", texts)
    setattr(options, name, pointers)
    setattr(options, "n_" + name, len(texts))
    return [texts, pointers]


def _report(report: Any, file: Optional[bytes]) -> CompressReport:
    def parsed(text: Any) -> Optional[Dict[str, Any]]:
        return json.loads(_library.text_of(text)) if text else None

    return CompressReport(
        file=None if file is None else file.decode("utf-8", "surrogateescape"),
        source_bytes=int(report.source_bytes),
        totals=_totals(report.totals),
        tensors=[_tensor(report.tensors[i]) for i in range(report.n_tensors)],
        assets=[_asset(report.assets[i]) for i in range(report.n_assets)],
        warnings=[_library.text_of(report.warnings[i]) for i in range(report.n_warnings)],
        quality=parsed(report.quality),
        plan=parsed(report.plan))


# ------------------------------------------------------------------- inspect


def inspect(path: "arguments.Path") -> Dict[str, Any]:
    """What is in a file, as `entrollm inspect` prints it.

    Of a .ellm file "file", "identity", "source_identity", "tensors", "assets", "totals", "eos_ids" and, where it was
    compressed to a size, "quality". Of a checkpoint folder or a GGUF file "file", "tensors", "format", "architecture"
    and more.
    """
    name = model_path("path", path)
    shown = name.decode("utf-8", "surrogateescape")
    if not _is_source(name):
        return _inspect_file(name, shown)
    source = ffi.new("ellm_source **")
    try:
        _library.call(lib.ellm_source_open, name, source)
        return {"file": shown, "tensors": _tensors(lib.ellm_source_tensor, source[0]), **_described(source[0])}
    finally:
        lib.ellm_source_close(source[0])


def _is_source(name: bytes) -> bool:
    """A folder or a GGUF file; opening something else, such as a FIFO, might wait."""
    if not os.path.isfile(name):
        return os.path.isdir(name)
    try:
        with open(name, "rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def _described(source: Any) -> Dict[str, Any]:
    text = ffi.new("char **")
    try:
        _library.call(lib.ellm_source_describe, source, text)
        found: Dict[str, Any] = json.loads(_library.text_of(text[0]))
        return found
    finally:
        lib.free(text[0])


def _inspect_file(name: bytes, shown: str) -> Dict[str, Any]:
    file, asset, totals = ffi.new("ellm_file **"), ffi.new("ellm_asset_info *"), ffi.new("ellm_totals *")
    source, own = ffi.new("char[33]"), ffi.new("char[33]")
    try:
        _library.call(lib.ellm_file_open, name, file)
        lib.ellm_file_identity(file[0], source, own)
        lib.ellm_file_totals(file[0], totals)
        assets: List[Dict[str, Any]] = []
        while lib.ellm_file_asset_at(file[0], len(assets), asset):
            assets.append(_asset(asset))
        found = {"file": shown, "identity": _library.text_of(own), "source_identity": _library.text_of(source),
                 "tensors": _tensors(lib.ellm_file_tensor, file[0]), "assets": assets, "totals": _totals(totals),
                 "eos_ids": _eos_ids(name)}
        quality = lib.ellm_file_metadata(file[0], b"entrollm.quality")
        if quality:
            found["quality"] = json.loads(_library.text_of(quality))
        return found
    finally:
        lib.ellm_file_close(file[0])


def _eos_ids(name: bytes) -> Optional[List[int]]:
    """The ids that end a turn; None where the file cannot be run."""
    options, model = _library.make_struct("ellm_model_options"), ffi.new("ellm_model **")
    info = ffi.new("ellm_model_info *")
    options.threads = 1
    try:
        if lib.ellm_model_open(name, options, model, ffi.NULL) != 0:
            return None
        lib.ellm_model_get_info(model[0], info)
        return [int(info.eos_ids[i]) for i in range(info.n_eos)]
    finally:
        lib.ellm_model_close(model[0])


def _tensors(function: Callable[..., bool], handle: Any) -> List[Tensor]:
    info = ffi.new("ellm_tensor_info *")
    found: List[Tensor] = []
    while function(handle, len(found), info):
        found.append(_tensor(info))
    return found


def _tensor(t: Any) -> Tensor:
    found: Tensor = {"name": _library.text_of(t.name), "shape": [int(t.shape[i]) for i in range(t.n_dims)],
                     "kept": bool(t.kept), "dtype": _library.text_of(lib.ellm_dtype_name(t.dtype)),
                     "stored_bytes": int(t.stored_bytes)}
    here = int(t.stored_elements)
    if here != int(t.n_elements):  # a part of a model
        found["stored_elements"] = here
    if t.kept:
        return found
    exact = bool(t.exact)
    found.update(exact=exact, bits=int(t.bits),
                 scheme=None if exact else _library.text_of(lib.ellm_scheme_name(t.scheme)),
                 step=None if exact else float(t.step), zero=None if exact else int(t.zero),
                 row_scales=bool(t.row_scales), column_scales=bool(t.column_scales), outliers=int(t.outliers),
                 entropy=float(t.entropy), huffman_bits_per_weight=float(t.huffman_bits_per_weight),
                 coded_bits_per_weight=8 * int(t.stored_bytes) / here if here else 0.0,
                 layout=_library.text_of(t.layout) if t.layout else "?", raw_bits=int(t.raw_bits), tuple=int(t.tuple),
                 symbols=int(t.symbols), payload_bytes=int(t.payload_bytes))
    return found


def _totals(t: Any) -> Dict[str, Any]:
    return {"weights": int(t.weights), "parameters": int(t.parameters), "file_bytes": int(t.file_bytes),
            "quantized_bytes": int(t.quantized_bytes), "entropy": float(t.entropy),
            "huffman_bits_per_weight": float(t.huffman_bits_per_weight),
            "coded_bits_per_weight": float(t.coded_bits_per_weight)}


def _asset(a: Any) -> Dict[str, Any]:
    return {"name": _library.text_of(a.name), "bytes": int(a.bytes)}


# ------------------------------------------------------------ verify and back


def verify(path: "arguments.Path", against: Optional["arguments.Path"] = None, *, requantize: bool = False,
           calibrate: Optional["arguments.Path"] = None, threads: Optional[int] = None,
           progress: Optional[ProgressFunction] = None) -> VerifyResult:
    """Checks every byte of a .ellm file against its checksums; problems are in the result. InputError: it is no .ellm
    file.

    against: the checkpoint folder or GGUF file that it was made from, to compare with.
    requantize: with `against`, make the file once more and compare bytes; calibrate: the text that it was calibrated
        on.
    """
    options = _library.make_struct("ellm_verify_options")
    name = model_path("path", path)
    kept = [ffi.new("char[]", check(what, value)) if value is not None else ffi.NULL
            for what, value, check in (("against", against, model_path), ("calibrate", calibrate, arguments.path))]
    options.against, options.calibrate_file = kept
    options.requantize = arguments.flag("requantize", requantize)
    if requantize and against is None:
        raise UsageError("requantize needs against, what the file was made from")
    if calibrate is not None and not requantize:
        raise UsageError("calibrate is of use with requantize only")
    options.threads = arguments.integer("threads", threads, 0, arguments.INT_MAX)
    callbacks = Callbacks(progress)
    options.progress = callbacks.progress
    made = ffi.new("ellm_verify_result **")
    try:
        try:
            callbacks.call(lib.ellm_verify, name, options, made)
        except DifferenceError:
            if not made[0]:
                raise
        r = made[0]
        return VerifyResult(bool(r.ok), int(r.checked_bytes),
                            [_library.text_of(r.problems[i]) for i in range(r.n_problems)])
    finally:
        lib.ellm_verify_free(made[0])


def decompress(path: "arguments.Path", out: "arguments.Path", *, dtype: Optional[str] = None, force: bool = False,
               threads: Optional[int] = None, progress: Optional[ProgressFunction] = None) -> None:
    """Writes a checkpoint folder with the dequantized weights; the other files of the source come back as they were.

    dtype: "f32", "f16", "bf16"; None: the source's. force: write into a folder that is not empty.
    """
    options = _library.make_struct("ellm_decompress_options")
    options.dtype = arguments.choice("dtype", dtype, _DTYPES, -1)
    options.overwrite = arguments.flag("force", force)
    options.threads = arguments.integer("threads", threads, 0, arguments.INT_MAX)
    callbacks = Callbacks(progress)
    options.progress = callbacks.progress
    callbacks.call(lib.ellm_decompress, model_path("path", path), arguments.path("out", out), options)

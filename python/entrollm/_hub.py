# SPDX-License-Identifier: Apache-2.0
"""Models by name: "hf:OWNER/NAME[@REVISION][:FILE]", as the program has them (docs/HUB.md).

The program finds and brings them, so that its rules and checks are the only ones: `entrollm pull --cached`. Where it is
not installed, what lies in the cache of huggingface_hub as a whole model is found here, and nothing is brought.
"""
from __future__ import annotations

import fnmatch
import json
import logging
import os
import re
import shutil
import subprocess
from typing import Any, List, Optional, Type

from . import _arguments as arguments
from . import errors

__all__ = ["model_path"]

_log = logging.getLogger("entrollm")
_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@([^:]+))?(?::(.+))?", re.ASCII | re.DOTALL)
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.gguf|\.safetensors)", re.DOTALL)
_INDEX = "model.safetensors.index.json"


def model_path(name: str, value: Any) -> bytes:
    """The path of a model: `value` itself, or where the one of that name is."""
    path = arguments.path(name, value)
    return _find(path[3:].decode("utf-8", "surrogateescape")) if path.startswith(b"hf:") else path


def _find(model: str) -> bytes:
    program = os.environ.get("ENTROLLM_PROGRAM", "") or shutil.which("entrollm")
    if program:
        return _ask(program, model)
    found = _in_cache(model)
    if found is None:
        raise errors.ResourceError(f"hf:{model} is not in the cache ({_cache()}), and the program that brings models, "
                                   "entrollm, is not installed (ENTROLLM_PROGRAM may name it)")
    return os.fsencode(found)


# --------------------------------------------------------------- the program


def _ask(program: str, model: str) -> bytes:
    try:
        ended = subprocess.run([program, "pull", "--cached", "--", model], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except OSError as refused:
        raise errors.ResourceError(f"{program} cannot be run: {refused.strerror}") from None
    lines = ended.stderr.decode("utf-8", "replace").splitlines()
    for line in lines:
        if line.startswith("entrollm: note: "):
            _log.warning("%s", line[len("entrollm: note: "):])
    if ended.returncode == 0:
        return ended.stdout.rstrip(b"\n")
    raise _error(program, ended.returncode, lines)


def _error(program: str, status: int, lines: List[str]) -> errors.Error:
    said = [line[len("entrollm: "):] for line in lines
            if line.startswith("entrollm: ") and not line.startswith("entrollm: note: ")]
    choice = [line.split()[-1] for line in lines if line.startswith("  ") and line.split()]  # models to choose from
    kind: Type[errors.Error] = errors.BY_STATUS.get(status, errors.InternalError)
    message = said[-1] if said else f"{program} pull has ended with status {status}"
    return kind(message + (": " + ", ".join(choice) if choice else ""))


# ----------------------------------------------------------------- the cache


def _variable(*names: str) -> Optional[str]:
    for name in names:
        if os.environ.get(name):
            return os.path.expanduser(os.environ[name])
    return None


def _cache() -> str:
    home = _variable("HF_HOME") or os.path.join(_variable("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                                                "huggingface")
    return _variable("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")


def _in_cache(model: str) -> Optional[str]:
    """The path of a model that is there as a whole, or None."""
    named = _NAME.fullmatch(model)
    revision = (named.group(2) or "main") if named else ""
    if named is None or ".." in model or any(part in ("", ".") for part in model.split("/")):
        raise errors.UsageError(f"'{model}' is not the name of a model: OWNER/NAME[@REVISION][:FILE] is expected")
    folder = os.path.join(_cache(), "models--" + named.group(1).replace("/", "--"))
    commit = revision
    if not re.fullmatch("[0-9a-f]{40}", commit):
        try:
            with open(os.path.join(folder, "refs", revision), encoding="ascii") as file:
                commit = file.read(64).strip()
        except (OSError, ValueError):
            return None
        if not re.fullmatch("[0-9a-f]{40}", commit):
            return None
    snapshot = os.path.join(folder, "snapshots", commit)
    files = [os.path.relpath(os.path.join(at, name), snapshot) for at, _, names in os.walk(snapshot) for name in names
             if os.path.exists(os.path.join(at, name))]  # a link may lead nowhere
    if named.group(3) is None and _is_folder_model(snapshot, files):
        return snapshot
    chosen = _one_file(files, named.group(3) or "*")
    return os.path.join(snapshot, chosen) if chosen else None


def _is_folder_model(snapshot: str, files: List[str]) -> bool:
    if "config.json" not in files:
        return False
    if "model.safetensors" in files:
        return True
    if _INDEX in files:
        try:
            with open(os.path.join(snapshot, _INDEX), encoding="utf-8") as file:
                return set(json.load(file)["weight_map"].values()) <= set(files)
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return False
    return any(name.startswith("model-00001-of-") and _whole_set(name, files) for name in files)


def _whole_set(name: str, files: List[str]) -> bool:
    part = _PART.fullmatch(name)
    return part is None or all(f"{part.group(1)}-{i:05d}-of-{part.group(3)}{part.group(4)}" in files
                               for i in range(1, int(part.group(3)) + 1))


def _one_file(files: List[str], pattern: str) -> Optional[str]:
    """The one GGUF or .ellm file that is meant; of a set its first."""
    models = set()
    for name in files:
        if not (name == pattern or fnmatch.fnmatchcase(name, pattern)) or not name.endswith((".gguf", ".ellm")):
            continue
        part = _PART.fullmatch(name)
        models.add(f"{part.group(1)}-00001-of-{part.group(3)}{part.group(4)}" if part else name)
    models = {name for name in models if not os.path.basename(name).lower().startswith("mmproj")}
    chosen = models.pop() if len(models) == 1 else None
    return chosen if chosen and chosen in files and _whole_set(chosen, files) else None

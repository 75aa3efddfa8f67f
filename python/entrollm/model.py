# SPDX-License-Identifier: Apache-2.0
"""A model that can be asked: texts, conversations, logits, tokens."""
from __future__ import annotations

import json
import time
from collections import deque
from typing import (Any, Callable, Deque, Dict, Iterable, List, Literal, Mapping, NamedTuple, Optional, Sequence,
                    Tuple, Union, overload)

import numpy

from . import _arguments as arguments
from . import _library
from ._engine import Chances, Engine, Result, Stream
from ._hub import model_path
from ._library import Callbacks, Progress, ffi, lib
from .errors import InputError, UsageError

__all__ = ["Model", "ModelInfo", "Sampling"]

_ACTIVATIONS = {"auto": 0, "f32": 1, "i8": 2, "i16": 3}
_CACHES = {"auto": 0, "f32": 1, "f16": 2, "q8": 3}
_LOGITS_BATCH = 32  # positions between two looks for Ctrl-C
_MOST_OPEN = 64   # requests of generate_many at a time: each has memory for the vocabulary
_MOST_KEPT = 16  # templates, grammars
_SIZE_MAX = int(ffi.cast("size_t", -1))

Prompt = Union[str, bytes, "arguments.Ids"]
Schema = Union[str, Mapping[str, Any]]
Messages = Sequence[Mapping[str, Any]]


class ModelInfo(NamedTuple):
    """What is known of a model."""

    architecture: str
    vocab_size: int            # rows of the embedding: logits of a position
    hidden_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    max_context: int           # positions that can be computed
    parameters: int
    activations: str           # in use: "f32", "i8", "i16"
    kv_cache: str              # in use: "f32", "f16", "q8"
    bos_id: Optional[int]
    eos_ids: Tuple[int, ...]   # ids that end a turn


class Sampling(NamedTuple):
    """How the next token is chosen. `temperature` 0 takes the likeliest."""

    temperature: float
    top_k: int            # 0: off
    top_p: float          # 1: off
    min_p: float          # 0: off
    repeat_penalty: float  # 1: off


class _Opened:
    """The handle of an open model, and the objects that depend on it. Each user holds a reference, so that closing the
    model in another thread frees it only when the last use has ended."""

    def __init__(self, handle: Any, engine: Engine) -> None:
        self.handle = handle
        self.engine = engine
        self.chats: Dict[Any, Any] = {}  # template -> ellm_chat
        self.grammars: Dict[Any, Any] = {}  # (function, text) -> ellm_grammar, with what was found out with it

    def tokenizer(self) -> Any:
        tokenizer = ffi.new("const ellm_tokenizer **")
        _library.call(lib.ellm_model_tokenizer, self.handle, tokenizer)
        return tokenizer[0]

    def grammar(self, create: str, name: str, text: bytes) -> Any:
        grammar = self.grammars.get((create, text))
        if grammar is None:
            made = ffi.new("ellm_grammar **")
            _library.call(getattr(lib, create), self.tokenizer(), text, len(text), name.encode(), made)
            grammar = _library.owned(made[0], lib.ellm_grammar_free)
            if len(self.grammars) >= _MOST_KEPT:
                self.grammars.clear()
            self.grammars[create, text] = grammar
        return grammar


class Model:
    """A language model: a .ellm file, a checkpoint folder, a GGUF file, or a model of the hub, "hf:OWNER/NAME".

    It is a context manager that closes the model. Several threads may use it: their answers are computed together, and
    each answer is the one that it would be alone. Different models compute at the same time.

    threads: None or 0 for all processors. Results do not depend on it.
    ctx: the most positions of one conversation, prompt and answer; None: the model's context.
    parallel: how many conversations have memory at the same time; others wait. With ctx, memory for keys and values of
        parallel * ctx positions is reserved at once; without it, the memory grows as needed.
    activations: "f32", "i8" or "i16", how activations are represented when coded weights multiply them; None: the
        model's own choice ("f32" for folders and lossless files, "i8" for files that say that it adds at most 5 % to
        their divergence, else "i16").
    kv_cache: "f32", "f16" or "q8" (8-bit integers, half the memory of "f16"); None: "f32" with activations "f32", else
        "f16".
    check: verify every checksum when the model is opened.
    load: copy the file into memory with huge pages instead of mapping it: it starts later and runs faster.
    expand: decode all weights once into memory, one byte per weight, half a byte up to 4 bits: it starts later and runs
        faster.
    lock: keep the file in memory.
    progress: called with a Progress while check, load, expand and lock work; returning False stops them.
    notes: called with a line about each problem that stops nothing; None: the logger "entrollm".
    """

    def __init__(self, path: "arguments.Path", threads: Optional[int] = None, ctx: Optional[int] = None,
                 activations: Optional[str] = None, kv_cache: Optional[str] = None, *, parallel: int = 1,
                 check: bool = False, load: bool = False, expand: bool = False, lock: bool = False,
                 progress: Optional[Callable[[Progress], Any]] = None,
                 notes: Optional[Callable[[str], Any]] = None) -> None:
        self._opened: Optional[_Opened] = None
        options = _library.make_struct("ellm_model_options")
        name = model_path("path", path)
        options.threads = arguments.integer("threads", threads, 0, arguments.INT_MAX)
        options.activations = arguments.choice("activations", activations, _ACTIVATIONS)
        options.cache_type = arguments.choice("kv_cache", kv_cache, _CACHES)
        options.check_all = arguments.flag("check", check)
        options.load = arguments.flag("load", load)
        options.expand = arguments.flag("expand", expand)
        options.lock_memory = arguments.flag("lock", lock)
        self._ctx = arguments.integer("ctx", ctx, 1, 1 << 30)
        parallel = arguments.integer("parallel", parallel, 1, 256, 1)
        if self._ctx * parallel >= 1 << 31:
            raise UsageError(f"ctx {self._ctx} times parallel {parallel} are too many positions")
        options.cache_positions = self._ctx * parallel
        callbacks = Callbacks(progress, notes)
        options.progress = callbacks.progress
        options.notes.take = callbacks.notes
        made = ffi.new("ellm_model **")
        try:
            callbacks.call(lib.ellm_model_open, name, options, made)
        except BaseException:
            lib.ellm_model_close(made[0])  # a callback may have raised, and the model be open all the same
            raise
        handle = _library.owned(made[0], lib.ellm_model_close)
        self.path = name.decode("utf-8", "surrogateescape")
        self._info = _info(handle)
        if self._ctx > self._info.max_context:
            told = ffi.new("ellm_model_info *")
            lib.ellm_model_get_info(handle, told)
            why = ": " + _library.text_of(told.max_context_reason) if told.max_context_reason else ""
            raise InputError(f"ctx {self._ctx} is more than the model's context of {self._info.max_context}{why}")
        engine = Engine(handle, max(16, parallel))
        if parallel > 1 and self._ctx == 0:
            engine.reserve(parallel * engine.usage()[0])
        self._quality = _quality(name)
        self._opened = _Opened(handle, engine)

    # -------------------------------------------------------------- closing

    def close(self) -> None:
        """Frees the model. Streams that have not ended fail. Closing twice does no harm."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.engine.close()

    @property
    def closed(self) -> bool:
        return self._opened is None

    def __enter__(self) -> "Model":
        self._use()
        return self

    def __exit__(self, *what: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_opened", None) is not None:
            self._opened = None  # streams may go on; all is freed with the last of them

    def __repr__(self) -> str:
        state = ", closed" if self._opened is None else ""
        return f"<entrollm.Model {self.path!r}: {self._info.architecture}, {self._info.parameters} parameters{state}>"

    def _use(self) -> _Opened:
        opened = self._opened
        if opened is None:
            raise UsageError("the model is closed")
        return opened

    # ----------------------------------------------------------- properties

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def context(self) -> int:
        """Positions of one conversation: ctx, or the model's own."""
        return self._ctx or self._info.max_context

    @property
    def vocab_size(self) -> int:
        return self._info.vocab_size

    @property
    def parameters(self) -> int:
        return self._info.parameters

    @property
    def quality(self) -> Optional[Dict[str, Any]]:
        """What a .ellm file that was compressed to a size records about its quality: "divergence_i16" (nats per token
        from its source) and more (docs/FORMAT.md); None for other models."""
        return None if self._quality is None else dict(self._quality)

    @property
    def sampling(self) -> Sampling:
        """The model's own defaults, those of its generation_config."""
        return _sampling(_default_sampling(self._use().handle))

    @property
    def cache_usage(self) -> Tuple[int, int]:
        """Positions that there is memory for, and how many of them are free."""
        total, free = self._use().engine.usage()
        return total, free

    # --------------------------------------------------------------- tokens

    def tokenize(self, text: Union[str, bytes], *, add_special: bool = True, parse_special: bool = True) -> List[int]:
        """The ids of a text. add_special: with what the tokenizer puts around a text (such as its first token);
        parse_special: special tokens that are written in the text are tokens, not text."""
        return [int(one) for one in self._encode(self._use(), text, add_special, parse_special)]

    def detokenize(self, ids: "arguments.Ids", *, skip_special: bool = False) -> str:
        """The text of ids, decoded as a whole."""
        opened = self._use()
        skip = arguments.flag("skip_special", skip_special)
        given = arguments.ids("ids", ids)
        return _taken_text(lib.ellm_tokenizer_decode, opened.tokenizer(), _pointer(given), given.size, skip)

    def _encode(self, opened: _Opened, text: Union[str, bytes], add_special: bool = True,
                parse_special: bool = True) -> Any:
        data = arguments.text("text", text)
        flags = (0 if arguments.flag("add_special", add_special) else int(lib.ELLM_ENCODE_NO_POST)) | \
            (0 if arguments.flag("parse_special", parse_special) else int(lib.ELLM_ENCODE_SPECIAL_AS_TEXT))
        return _taken_ids(lib.ellm_tokenizer_encode, opened.tokenizer(), data, len(data), flags)

    # --------------------------------------------------------------- logits

    def logits(self, ids: "arguments.Ids", *, last: Optional[int] = None) -> "numpy.ndarray[Any, Any]":
        """The logits after each id, float32, [len(ids), vocab_size]; with `last`, only those of the last positions."""
        opened = self._use()
        given = arguments.ids("ids", ids)
        rows = arguments.integer("last", last, 1, max(1, given.size), given.size)
        if given.size == 0:
            raise UsageError("ids is empty")
        if given.size > self.context:
            raise InputError(f"{given.size} ids are more than the context of {self.context} positions")
        result = numpy.empty((rows, self._info.vocab_size), dtype=numpy.float32)
        opened.engine.exclusive(given.size + 2 * int(lib.ELLM_PAGE_POSITIONS),
                                lambda: _compute_logits(opened.handle, given, result))
        return result

    # ----------------------------------------------------------- generation

    @overload
    def generate(self, prompt: Prompt, *, stream: Literal[False] = ..., max_tokens: Optional[int] = ...,
                 temperature: Optional[float] = ..., top_p: Optional[float] = ..., top_k: Optional[int] = ...,
                 min_p: Optional[float] = ..., repeat_penalty: Optional[float] = ..., seed: Optional[int] = ...,
                 stop: Union[str, Iterable[str], None] = ..., ignore_eos: bool = ...,
                 frequency_penalty: Optional[float] = ..., presence_penalty: Optional[float] = ...,
                 logit_bias: Optional[Mapping[int, float]] = ..., logprobs: Optional[int] = ...,
                 grammar: Optional[str] = ..., json_schema: Optional[Schema] = ...) -> Result: ...

    @overload
    def generate(self, prompt: Prompt, *, stream: Literal[True], max_tokens: Optional[int] = ...,
                 temperature: Optional[float] = ..., top_p: Optional[float] = ..., top_k: Optional[int] = ...,
                 min_p: Optional[float] = ..., repeat_penalty: Optional[float] = ..., seed: Optional[int] = ...,
                 stop: Union[str, Iterable[str], None] = ..., ignore_eos: bool = ...,
                 frequency_penalty: Optional[float] = ..., presence_penalty: Optional[float] = ...,
                 logit_bias: Optional[Mapping[int, float]] = ..., logprobs: Optional[int] = ...,
                 grammar: Optional[str] = ..., json_schema: Optional[Schema] = ...) -> Stream: ...

    def generate(self, prompt: Prompt, *, stream: bool = False, **how: Any) -> Union[Result, Stream]:
        """Continues a text, or token ids. Special tokens that are written in a text are tokens.

        stream: return a Stream of pieces of text instead of the whole Result.
        max_tokens: the most new tokens; None: until the model ends the answer or the context is full. Default: 256.
        temperature, top_k, top_p, min_p, repeat_penalty: None: the model's own (`sampling`). Temperature 0 takes the
            likeliest token.
        seed: the same seed gives the same answer; None draws one (`Result.seed`). Default: 0.
        stop: a text, or several; the answer ends before the first that appears.
        ignore_eos: continue after a token with which the model ends its answers.
        frequency_penalty, presence_penalty: subtracted from the logits of tokens that the answer already has, for each
            occurrence, or once. logit_bias: {id: a number that is added to its logit}.
        logprobs: also return the log-probability of each token, and of this many of the likeliest tokens at its place
            (`Result.logprobs`).
        grammar: a grammar in GBNF that the answer must follow; json_schema: a JSON Schema, as a dict or a text
            (docs/GRAMMARS.md).
        """
        opened = self._use()
        request = _Request(self, opened, self._prompt_ids(opened, prompt), None, **how)
        return _answer(opened, request, arguments.flag("stream", stream))

    def generate_many(self, prompts: Iterable[Prompt], **how: Any) -> List[Result]:
        """Continues several texts together, with the arguments of `generate`. Each weight is decoded once for all of
        them, and each answer is the one that its prompt would get alone. `parallel` of the model says how many have
        memory at the same time; others wait."""
        if isinstance(prompts, (str, bytes)):
            raise TypeError("prompts must be a list of prompts, not one")
        opened = self._use()
        if "stream" in how:
            raise TypeError("generate_many does not stream")
        open_streams: Deque[Stream] = deque()
        results: List[Result] = []
        try:
            for prompt in prompts:
                if len(open_streams) >= _MOST_OPEN:
                    results.append(open_streams[0].result)
                    open_streams.popleft()
                request = _Request(self, opened, self._prompt_ids(opened, prompt), None, **how)
                open_streams.append(request.start(opened))
            results += [one.result for one in open_streams]
            return results
        finally:
            for one in open_streams:
                one.close()

    def _prompt_ids(self, opened: _Opened, prompt: Prompt) -> Any:
        if isinstance(prompt, (str, bytes)):
            return self._encode(opened, prompt)
        return arguments.ids("prompt", prompt)

    # ----------------------------------------------------------------- chat

    @overload
    def chat(self, messages: Messages, *, stream: Literal[False] = ..., tools: Optional[Sequence[Any]] = ...,
             template: Optional[str] = ..., variables: Optional[Mapping[str, Any]] = ...,
             max_tokens: Optional[int] = ..., temperature: Optional[float] = ..., top_p: Optional[float] = ...,
             top_k: Optional[int] = ..., min_p: Optional[float] = ..., repeat_penalty: Optional[float] = ...,
             seed: Optional[int] = ..., stop: Union[str, Iterable[str], None] = ...,
             ignore_eos: bool = ..., frequency_penalty: Optional[float] = ..., presence_penalty: Optional[float] = ...,
             logit_bias: Optional[Mapping[int, float]] = ..., logprobs: Optional[int] = ...,
             grammar: Optional[str] = ..., json_schema: Optional[Schema] = ...) -> Result: ...

    @overload
    def chat(self, messages: Messages, *, stream: Literal[True], tools: Optional[Sequence[Any]] = ...,
             template: Optional[str] = ..., variables: Optional[Mapping[str, Any]] = ...,
             max_tokens: Optional[int] = ..., temperature: Optional[float] = ..., top_p: Optional[float] = ...,
             top_k: Optional[int] = ..., min_p: Optional[float] = ..., repeat_penalty: Optional[float] = ...,
             seed: Optional[int] = ..., stop: Union[str, Iterable[str], None] = ...,
             ignore_eos: bool = ..., frequency_penalty: Optional[float] = ..., presence_penalty: Optional[float] = ...,
             logit_bias: Optional[Mapping[int, float]] = ..., logprobs: Optional[int] = ...,
             grammar: Optional[str] = ..., json_schema: Optional[Schema] = ...) -> Stream: ...

    def chat(self, messages: Messages, *, stream: bool = False, tools: Optional[Sequence[Any]] = None,
             template: Optional[str] = None, variables: Optional[Mapping[str, Any]] = None,
             **how: Any) -> Union[Result, Stream]:
        """The next answer of a conversation: [{"role": "user", "content": "..."}, ...]. What messages say cannot act as
        a special token. What was said before, in an earlier call, is not computed again.

        tools: descriptions of functions, for templates that take them.
        template: the source of a chat template (Jinja), or the name of one of the model's; None: the model's.
        variables: further variables of the template, such as {"enable_thinking": False}.
        The other arguments are those of `generate`.
        """
        opened = self._use()
        chat = self._chat(opened, template)
        ids = _Conversation(messages, tools, variables, True).encode(chat)
        request = _Request(self, opened, ids, chat, **how)
        return _answer(opened, request, arguments.flag("stream", stream))

    def render(self, messages: Messages, *, tools: Optional[Sequence[Any]] = None, template: Optional[str] = None,
               variables: Optional[Mapping[str, Any]] = None, add_generation_prompt: bool = True) -> str:
        """The text that `chat` would give the model."""
        opened = self._use()
        answer = arguments.flag("add_generation_prompt", add_generation_prompt)
        return _Conversation(messages, tools, variables, answer).render(self._chat(opened, template))

    def _chat(self, opened: _Opened, template: Optional[str]) -> Any:
        chat = opened.chats.get(template)
        if chat is not None:
            return chat
        options = _library.make_struct("ellm_chat_options")
        kept = ffi.NULL
        if template is not None:
            data = arguments.text("template", template)
            kept = ffi.new("char[]", data)
            if b"{" in data:
                options.source, options.source_bytes = kept, len(data)
            elif not data or b"\0" in data:
                raise UsageError("template is neither the name of a template nor a template")
            else:
                options.name = kept
        made = ffi.new("ellm_chat **")
        _library.call(lib.ellm_chat_open, opened.handle, options, made)
        chat = _library.owned(made[0], lib.ellm_chat_free)
        if len(opened.chats) >= _MOST_KEPT:
            opened.chats.clear()
        opened.chats[template] = chat
        return chat


# --------------------------------------------------------------------- facts


def _names(values: Mapping[str, int], value: int) -> str:
    return next((name for name, number in values.items() if number == value), "?")


def _info(handle: Any) -> ModelInfo:
    told = ffi.new("ellm_model_info *")
    lib.ellm_model_get_info(handle, told)
    return ModelInfo(_library.text_of(told.architecture), int(told.vocab_size), int(told.hidden_size),
                     int(told.n_layers), int(told.n_heads), int(told.n_kv_heads), int(told.head_dim),
                     int(told.max_context), int(told.parameters), _names(_ACTIVATIONS, int(told.activations)),
                     _names(_CACHES, int(told.cache_type)), int(told.bos_id) if told.bos_id >= 0 else None,
                     tuple(int(told.eos_ids[i]) for i in range(told.n_eos)))


def _quality(path: bytes) -> Optional[Dict[str, Any]]:
    """The quality that a .ellm file records; None for all other files."""
    made = ffi.new("ellm_file **")
    try:
        if lib.ellm_file_open(path, made, ffi.NULL) != 0:
            return None
        text = lib.ellm_file_metadata(made[0], b"entrollm.quality")
        found = json.loads(_library.text_of(text)) if text else None
        return found if isinstance(found, dict) else None
    except ValueError:
        return None
    finally:
        lib.ellm_file_close(made[0])


def _default_sampling(handle: Any) -> Any:
    sampling = _library.make_struct("ellm_sampling")
    lib.ellm_model_sampling(handle, sampling)
    return sampling


def _sampling(s: Any) -> Sampling:
    return Sampling(float(s.temperature), int(s.top_k), float(s.top_p), float(s.min_p), float(s.repeat_penalty))


# ----------------------------------------------------------------------- ids


def _pointer(ids: Any) -> Any:
    """The address of an array of ids, which must be kept meanwhile."""
    return ffi.cast("uint32_t *", ids.ctypes.data)


def _taken_ids(function: Callable[..., int], *given: Any) -> Any:
    """The ids that a function hands out, as an array of our own."""
    ids, count = ffi.new("uint32_t **"), ffi.new("size_t *")
    try:
        _library.call(function, *given, ids, count)
        return numpy.frombuffer(bytes(ffi.buffer(ids[0], 4 * int(count[0]))), dtype=numpy.uint32) if count[0] else \
            numpy.zeros(0, dtype=numpy.uint32)
    finally:
        lib.free(ids[0])


def _taken_text(function: Callable[..., int], *given: Any) -> str:
    """The text that a function hands out."""
    text, size = ffi.new("char **"), ffi.new("size_t *")
    try:
        _library.call(function, *given, text, size)
        return bytes(ffi.buffer(text[0], int(size[0]))).decode("utf-8", "replace")
    finally:
        lib.free(text[0])


def _compute_logits(handle: Any, ids: Any, result: Any) -> None:
    made, item = ffi.new("ellm_sequence **"), ffi.new("ellm_batch_item *")
    vocab, skipped = result.shape[1], ids.size - result.shape[0]
    try:
        _library.call(lib.ellm_sequence_create, handle, made)
        _library.call(lib.ellm_sequence_announce, made[0], ids.size)
        for first in range(0, ids.size, _LOGITS_BATCH):
            n = min(_LOGITS_BATCH, ids.size - first)
            rows = min(n, max(0, first + n - skipped))
            item.sequence, item.ids, item.n_ids, item.n_logits = made[0], _pointer(ids) + first, n, rows
            at = first + n - rows - skipped  # of the result
            item.logits = ffi.cast("float *", result.ctypes.data) + at * vocab if rows else ffi.NULL
            _library.call(lib.ellm_evaluate, handle, item, 1)
            for row in range(rows):
                _library.call(lib.ellm_logits_check, item.logits + row * vocab, vocab, first + n - rows + row)
    finally:
        lib.ellm_sequence_free(made[0])


# ------------------------------------------------------------------ requests


class _Request:
    """A request to the generator, and the memory behind it."""

    def __init__(self, model: Model, opened: _Opened, ids: Any, chat: Any, max_tokens: Optional[int] = 256,
                 temperature: Optional[float] = None, top_p: Optional[float] = None, top_k: Optional[int] = None,
                 min_p: Optional[float] = None, repeat_penalty: Optional[float] = None, seed: Optional[int] = 0,
                 stop: Union[str, Iterable[str], None] = None, ignore_eos: bool = False,
                 frequency_penalty: Optional[float] = None, presence_penalty: Optional[float] = None,
                 logit_bias: Optional[Mapping[int, float]] = None, logprobs: Optional[int] = None,
                 grammar: Optional[str] = None, json_schema: Optional[Schema] = None) -> None:
        self.ids = ids
        self.sampling = _default_sampling(opened.handle)
        self.seed = arguments.seed(seed)
        self._choose(temperature, top_p, top_k, min_p, repeat_penalty)
        self._adjust(frequency_penalty, presence_penalty, logit_bias, model.vocab_size)
        limit = arguments.integer("max_tokens", max_tokens, 0, 1 << 62, _SIZE_MAX)
        self.stops = arguments.text_list("stop", stop)
        self.stop_pointers = ffi.new("const char *[]", self.stops) if self.stops else ffi.NULL
        request = self.struct = _library.make_struct("ellm_request")
        request.prompt, request.n_prompt = _pointer(ids), ids.size
        request.limit = limit
        request.positions = model._ctx
        request.sampling = self.sampling
        request.ignore_end = arguments.flag("ignore_eos", ignore_eos)
        request.stops, request.n_stops = self.stop_pointers, len(self.stops)
        self.chances: Optional[Chances] = None
        if logprobs is not None:
            n_top = arguments.integer("logprobs", logprobs, 0, int(lib.ELLM_MAX_CHANCES))
            self.chances = Chances(n_top)
            request.n_chances, request.take = max(1, n_top), self.chances.take
        self.grammar = _grammar(opened, grammar, json_schema)
        request.grammar = self.grammar
        if chat is not None:
            ends = ffi.new("const uint32_t **")
            request.n_end_ids = lib.ellm_chat_end_ids(chat, ends)
            request.end_ids = ends[0]
        self.positions = min(int(ids.size) + max(0, limit - 1), model.context)

    def _choose(self, temperature: Optional[float], top_p: Optional[float], top_k: Optional[int],
                min_p: Optional[float], repeat_penalty: Optional[float]) -> None:
        s = self.sampling
        s.seed = self.seed
        if temperature is not None:
            s.temperature = arguments.number("temperature", temperature, 0)
        if top_p is not None:
            s.top_p = arguments.number("top_p", top_p, 0, 1)
        if top_k is not None:
            s.top_k = arguments.integer("top_k", top_k, 0, arguments.INT_MAX)
        if min_p is not None:
            s.min_p = arguments.number("min_p", min_p, 0, 1)
        if repeat_penalty is not None:
            s.repeat_penalty = arguments.number("repeat_penalty", repeat_penalty, 0)

    def _adjust(self, frequency: Optional[float], presence: Optional[float], bias: Optional[Mapping[int, float]],
                vocab_size: int) -> None:
        s = self.sampling
        if frequency is not None:
            s.frequency_penalty = arguments.number("frequency_penalty", frequency, -100, 100)
        if presence is not None:
            s.presence_penalty = arguments.number("presence_penalty", presence, -100, 100)
        if bias is None:
            return
        if not isinstance(bias, Mapping):
            raise TypeError(f"logit_bias must be a dict of ids, not {type(bias).__name__}")
        self.biases = ffi.new("ellm_bias[]", [(arguments.integer("logit_bias", one, 0, vocab_size - 1),
                                               arguments.number(f"logit_bias[{one}]", value))
                                              for one, value in bias.items()])
        s.biases, s.n_biases = self.biases, len(bias)

    def start(self, opened: _Opened) -> Stream:
        return opened.engine.start(self.struct, self.seed, self.positions, self.chances)


def _grammar(opened: _Opened, grammar: Optional[str], schema: Optional[Schema]) -> Any:
    """What the answer can be, or NULL."""
    if grammar is not None and schema is not None:
        raise UsageError("grammar and json_schema cannot be used together")
    if grammar is not None:
        return opened.grammar("ellm_grammar_create", "grammar", arguments.text("grammar", grammar))
    if schema is None:
        return ffi.NULL
    if not isinstance(schema, (str, bytes, Mapping)):
        raise TypeError(f"json_schema must be a dict or a text, not {type(schema).__name__}")
    text = _json("json_schema", dict(schema)) if isinstance(schema, Mapping) else arguments.text("json_schema", schema)
    return opened.grammar("ellm_grammar_create_schema", "json_schema", text)


def _answer(opened: _Opened, request: _Request, stream: bool) -> Union[Result, Stream]:
    made = request.start(opened)
    if stream:
        return made
    try:
        return made.result
    finally:
        made.close()


# ------------------------------------------------------------- conversations


class _Conversation:
    """A conversation as the library takes it, and the memory behind it."""

    def __init__(self, messages: Messages, tools: Optional[Sequence[Any]], variables: Optional[Mapping[str, Any]],
                 answer: bool) -> None:
        data = _conversation_json(messages, tools, variables)
        self._json, self._now = ffi.new("char[]", data), ffi.new("struct tm *")
        _set_time(self._now)
        struct = self._struct = _library.make_struct("ellm_conversation")
        struct.json, struct.bytes, struct.answer, struct.now = self._json, len(data), answer, self._now

    def encode(self, chat: Any) -> Any:
        return _taken_ids(lib.ellm_chat_encode, chat, self._struct)

    def render(self, chat: Any) -> str:
        return _taken_text(lib.ellm_chat_render, chat, self._struct)


def _conversation_json(messages: Messages, tools: Optional[Sequence[Any]],
                       variables: Optional[Mapping[str, Any]]) -> bytes:
    if isinstance(messages, (str, bytes, Mapping)):
        raise TypeError(f"messages must be a list of messages, not {type(messages).__name__}")
    whole: Dict[str, Any] = dict(variables or {})
    whole["messages"] = list(messages)
    if tools is not None:
        whole["tools"] = list(tools)
    return _json("the conversation", whole)


def _json(name: str, value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name} has a lone surrogate in it") from None
    except (ValueError, RecursionError) as wrong:
        raise UsageError(f"{name} is no JSON: {wrong}") from None
    except TypeError as wrong:
        raise TypeError(f"{name} is no JSON: {wrong}") from None


def _set_time(now: Any) -> None:
    local = time.localtime()
    now.tm_year, now.tm_mon, now.tm_mday = local.tm_year - 1900, local.tm_mon - 1, local.tm_mday
    now.tm_hour, now.tm_min, now.tm_sec = local.tm_hour, local.tm_min, local.tm_sec
    now.tm_wday, now.tm_yday, now.tm_isdst = (local.tm_wday + 1) % 7, local.tm_yday - 1, local.tm_isdst
    now.tm_gmtoff = local.tm_gmtoff

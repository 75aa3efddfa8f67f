# SPDX-License-Identifier: Apache-2.0
"""Answers of one model: a generator of the library that all threads share.

A generator is used by one thread at a time, and each of its steps makes every answer longer that has not ended. So
nobody owns the loop: whoever wants more of an answer takes the lock and looks whether another thread's step has brought
it already; if not, it makes a step itself. Between two steps Python runs, where Ctrl-C is seen and others get in.

What is dropped without being closed is only noted (`_dropped`): a finalizer may run anywhere, in a thread that holds
the lock, too. It is freed with the next thing that is done here.
"""
from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from . import _library
from ._library import ffi, lib
from .errors import UsageError

__all__ = ["Chance", "Chances", "Engine", "Result", "Stream"]

_PAGE = int(lib.ELLM_PAGE_POSITIONS)
_KEEP = 4  # sequences of ended answers that stay, for prompts that begin alike


class Chance(NamedTuple):
    """The log-probability (natural logarithm) that the model gave a token, before penalties, biases and filters; `top`
    are the likeliest tokens at its place, likeliest first."""

    id: int
    logprob: float
    top: List[Tuple[int, float]]


class Chances:
    """Collects the chances of an answer's tokens while it is generated. The callback is made by C; what is raised in
    it, such as a KeyboardInterrupt, is kept for the thread that makes the step."""

    def __init__(self, n_top: int) -> None:
        self.tokens: List[Chance] = []
        self._n_top = n_top
        self.raised: List[BaseException] = []
        self.take = ffi.callback("bool(void *, const ellm_answer *, const ellm_answer_part *)", self._take, error=True,
                                 onerror=self._keep)

    def _take(self, user: Any, answer: Any, part: Any) -> bool:
        if part.has_id:
            n = min(self._n_top, int(part.n_top))
            top = [(int(part.top[i].id), float(part.top[i].log_probability)) for i in range(n)]
            self.tokens.append(Chance(int(part.id), float(part.log_probability), top))
        return True

    def _keep(self, kind: Any, value: Any, trace: Any) -> None:
        self.raised.append(value.with_traceback(trace))


class Result:
    """An answer.

    `text` is the new text alone, `ids` its tokens. `finish_reason` says why it ended: "length", "eos" (the model ended
    it), "stop" (a stop string), "grammar" (the grammar lets nothing more come), "context" (no position is left), "full"
    (no memory for keys and values is left), "cancelled" (the stream was closed). Of the `prompt_tokens`,
    `cached_tokens` were known from an earlier prompt and not computed again. `seed` gives the same answer again.
    Seconds are those of reading the prompt and of generating. `logprobs`, where they were asked for, are the chances of
    its tokens, one for each of `ids`.
    """

    __slots__ = ("text", "ids", "finish_reason", "prompt_tokens", "cached_tokens", "completion_tokens", "seed",
                 "prompt_seconds", "seconds", "logprobs")

    def __init__(self, text: str, ids: List[int], finish_reason: str, prompt_tokens: int, cached_tokens: int, seed: int,
                 prompt_seconds: float, seconds: float, logprobs: Optional[List[Chance]] = None) -> None:
        self.text = text
        self.ids = ids
        self.finish_reason = finish_reason
        self.prompt_tokens = prompt_tokens
        self.cached_tokens = cached_tokens
        self.completion_tokens = len(ids)
        self.seed = seed
        self.prompt_seconds = prompt_seconds
        self.seconds = seconds
        self.logprobs = logprobs

    @property
    def message(self) -> Dict[str, str]:
        """The answer as a message, to be appended to those of a chat."""
        return {"role": "assistant", "content": self.text}

    @property
    def tokens_per_second(self) -> float:
        return self.completion_tokens / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return (f"Result(text={shown!r}, finish_reason={self.finish_reason!r}, prompt_tokens={self.prompt_tokens}, "
                f"completion_tokens={self.completion_tokens}, seed={self.seed})")


class Stream:
    """The pieces of an answer's text, as they come: whole characters, never empty.

    An iterator, and a context manager that closes it. `result` is there when it has ended. Closing it before, or
    dropping it, ends the answer ("cancelled"). It is used by one thread at a time; different streams may be used by
    different threads, also of one model: they are then computed together.
    """

    def __init__(self, engine: "Engine", key: int, seed: int, chances: Optional[Chances] = None) -> None:
        self._key = key  # of the answer
        self._seed = seed
        self._chances = chances
        self._taken = 0  # bytes of the text that were handed out
        self._result: Optional[Result] = None
        self._engine: Optional[Engine] = engine  # None: it has ended

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while self._engine is not None:
            piece = self._engine.more(self)
            if piece:
                return piece
        raise StopIteration

    @property
    def result(self) -> Result:
        """The whole answer. Reads on to its end where it has not ended."""
        for _ in self:
            pass
        if self._result is None:
            raise UsageError("the stream has failed or was closed before it began")
        return self._result

    @property
    def ended(self) -> bool:
        return self._engine is None

    def close(self) -> None:
        """Ends the answer with what is there. Closing twice does no harm."""
        if self._engine is not None:
            self._engine.cancel(self)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *what: Any) -> None:
        self.close()

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            engine.drop(self._key)


class Engine:
    """See the head of this file. `handle` is the model's; it lives as long as this."""

    def __init__(self, handle: Any, most: int) -> None:
        self._handle = handle
        self._most = most
        self._generator: Any = None
        self._closed = False
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._waiting: Set[int] = set()  # threads at the lock
        self._keys = itertools.count()
        # Of each answer that is not freed: a pointer to its pointer, and what it calls.
        self._live: Dict[int, Tuple[Any, Optional[Chances]]] = {}
        self._dropped: Deque[int] = deque()

    # ------------------------------------------------------------ using it

    def start(self, request: Any, seed: int, positions: int, chances: Optional[Chances] = None) -> Stream:
        """Asks; the pool is made large enough for `positions`."""
        self._check_process()
        with self._lock:
            self._enter()
            self.reserve(positions)
            if self._generator is None:
                self._generator = self._create()
            answer = ffi.new("ellm_answer **")
            # The stream is there before its answer: wherever Ctrl-C comes, dropping it frees what there is.
            stream = Stream(self, next(self._keys), seed, chances)
            self._live[stream._key] = answer, chances
            _library.call(lib.ellm_generator_add, self._generator, request, answer)
        return stream

    def more(self, stream: Stream) -> str:
        """The next piece of its text; "" where a step has brought none, or it has ended."""
        self._check_process()
        me = threading.get_ident()
        self._waiting.add(me)
        try:
            with self._lock:
                self._enter()
                piece = self._take(stream)
                if not piece and stream._engine is not None:
                    self._step()
                    piece = self._take(stream)
        finally:
            self._waiting.discard(me)
        if self._waiting:
            time.sleep(0.0002)  # a lock is not fair: whoever waits would seldom get it
        return piece

    def cancel(self, stream: Stream) -> None:
        if os.getpid() == self._process:
            with self._lock:
                if not self._closed and stream._key in self._live:
                    self._settle(stream, "cancelled")
        stream._engine = None

    def drop(self, key: int) -> None:
        self._dropped.append(key)

    def exclusive(self, positions: int, work: Callable[[], Any]) -> Any:
        """Runs `work`, which takes so many positions of the pool, while no step is made.

        Sequences that are kept for later prompts give way; answers that have not ended do not: then the pool grows."""
        self._check_process()
        with self._lock:
            self._enter()
            total, free = self.usage()
            if free < positions and not self._live and self._generator is not None:
                self._generator = None
                total, free = self.usage()
            self.reserve(total + max(0, positions - free))
            return work()

    def usage(self) -> Any:
        total, free = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        lib.ellm_model_cache_usage(self._handle, total, free)
        return int(total[0]), int(free[0])

    def reserve(self, positions: int) -> None:
        positions = min(-(-positions // _PAGE) * _PAGE, 2**32 - _PAGE)
        if positions > self.usage()[0]:
            _library.call(lib.ellm_model_reserve, self._handle, positions)

    def close(self) -> None:
        """Answers that have not ended fail. A step of another thread is waited for."""
        if os.getpid() != self._process:  # the lock may be held by a thread that is not here
            self._closed = True
            return
        with self._lock:
            self._closed = True
            self._generator = None
            self._live.clear()
            self._dropped.clear()

    def _check_process(self) -> None:
        """After a fork the child has none of the threads that a model computes with."""
        if os.getpid() != self._process:
            raise UsageError("the model was opened before this process was forked: open it here")

    # -------------------------------------------------------- with the lock

    def _enter(self) -> None:
        if self._closed:
            raise UsageError("the model is closed")
        while self._dropped:
            self._free(self._dropped.popleft())

    def _create(self) -> Any:
        options = _library.make_struct("ellm_generator_options")
        options.most = self._most
        options.keep = _KEEP
        made = ffi.new("ellm_generator **")
        _library.call(lib.ellm_generator_create, self._handle, options, made)
        return _library.owned(made[0], lib.ellm_generator_free)

    def _step(self) -> None:
        _library.call(lib.ellm_generator_step, self._generator, ffi.NULL)
        for _, chances in self._live.values():
            if chances is not None and chances.raised:
                raise chances.raised.pop()

    def _free(self, key: int) -> None:
        if key in self._live:
            answer, chances = self._live.pop(key)
            lib.ellm_answer_free(answer[0])
            if chances is not None:
                chances.take = None  # no circle stays behind

    def _take(self, stream: Stream) -> str:
        """What the answer has become longer by. One that has ended, and is handed out whole, is freed."""
        size, info = ffi.new("size_t *"), ffi.new("ellm_answer_info *")
        if stream._key not in self._live:  # see _let_go
            stream._engine = None
            return ""
        answer = self._live[stream._key][0][0]
        pointer = lib.ellm_answer_text(answer, size)
        if int(size[0]) > stream._taken:
            data: bytes = ffi.buffer(pointer + stream._taken, int(size[0]) - stream._taken)[:]
            stream._taken = int(size[0])
            return data.decode("utf-8", "replace")
        lib.ellm_answer_get_info(answer, info)
        if info.end == lib.ELLM_END_NOT:
            return ""
        if info.end == lib.ELLM_END_FAILED:
            err = ffi.new("ellm_error *")
            status = lib.ellm_answer_error(answer, err)
            self._let_go(stream)
            _library.check(status, err)
        self._settle(stream, _library.text_of(lib.ellm_end_name(info.end)))
        return ""

    def _let_go(self, stream: Stream) -> None:
        """Its answer is freed here or, where Ctrl-C comes between, with the next thing that is done."""
        self._dropped.append(stream._key)
        stream._engine = None
        self._free(stream._key)

    def _settle(self, stream: Stream, why: str) -> None:
        """The result, and the end of the answer."""
        size, info, count = ffi.new("size_t *"), ffi.new("ellm_answer_info *"), ffi.new("size_t *")
        answer = self._live[stream._key][0][0]
        lib.ellm_answer_get_info(answer, info)
        text = ffi.buffer(lib.ellm_answer_text(answer, size), int(size[0]))[:]
        ids = lib.ellm_answer_ids(answer, count)
        unpacked = ffi.unpack(ids, int(count[0])) if count[0] else []
        stream._result = Result(text.decode("utf-8", "replace"), unpacked, why,
                                int(info.n_prompt), int(info.n_kept), stream._seed, float(info.prompt_seconds),
                                float(info.seconds), stream._chances.tokens if stream._chances else None)
        self._let_go(stream)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the library's chat templates with jinja2, set up as `transformers` does, on random programs.

  python3 -m venv /tmp/e && /tmp/e/bin/pip install jinja2
  /tmp/e/bin/python tools/compare_templates.py build/libentrollm.so COUNT SEED

The programs are of what the library supports: tags, expressions, filters, tests, methods, white space control. Either
both give the same text, or both refuse. Two things are counted, and are no difference: what the library says it does
not support; and unknown filters, which jinja2 may refuse where they would never be reached, and the library does not.
Slices of constants that cannot be sliced are left out: jinja2 computes them when it compiles, and then has nothing.
Prints each difference with its program; the exit status is 1 if there is one."""

import collections
import copy
import ctypes
import json
import random
import sys
import tempfile

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 496)]


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("name", ctypes.c_char_p), ("source", ctypes.c_char_p),
                ("source_bytes", ctypes.c_size_t), ("origin", ctypes.c_char_p)]


class Conversation(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("json", ctypes.c_char_p), ("bytes", ctypes.c_size_t),
                ("origin", ctypes.c_char_p), ("answer", ctypes.c_bool), ("recognize_special", ctypes.c_bool),
                ("now", ctypes.c_void_p)]


def ours(lib, libc, folder, source, variables):
    """(text, None) or (None, error)."""
    error, chat, text, n = Error(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
    options, conversation = Options(), Conversation()
    lib.ellm_chat_options_init_sized(ctypes.byref(options), ctypes.c_size_t(ctypes.sizeof(options)))
    lib.ellm_conversation_init_sized(ctypes.byref(conversation), ctypes.c_size_t(ctypes.sizeof(conversation)))
    options.source = source.encode()
    options.source_bytes = len(options.source)
    conversation.json = variables.encode()
    conversation.bytes = len(conversation.json)
    conversation.answer = True
    if lib.ellm_chat_open_files(folder.encode(), ctypes.byref(options), ctypes.byref(chat), ctypes.byref(error)):
        return None, error.message.decode()
    status = lib.ellm_chat_render(chat, ctypes.byref(conversation), ctypes.byref(text), ctypes.byref(n), ctypes.byref(error))
    lib.ellm_chat_free(chat)
    if status:
        return None, error.message.decode()
    out = ctypes.string_at(text, n.value).decode()
    libc.free(text)
    return out, None


def environment():
    """As transformers/utils/chat_template_utils.py has it."""
    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = refuse
    return env


VARIABLES = {
    "messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "H\u00e9 <b>\n"},
                 {"role": "assistant", "content": None, "tool_calls": [{"id": "a1", "function": {
                     "name": "f", "arguments": {"a": 1, "b": 2.5, "c": [True, None]}}}]}],
    "s": "  Hello, World! \n", "t": "a,b,,c", "u": "\u00dcber \u01c6 \u4e2d\u6587 \U0001F600", "e": "", "i": 3, "z": 0,
    "k": -7, "f": 2.5, "g": -0.125, "yes": True, "no": False, "none_": None, "l": [3, 1, 2], "m": ["b", "A", "c", "a"],
    "o": [], "d": {"x": 1, "y": "two", "w": [1, 2]}, "p": {}, "r": [{"n": 2, "q": "b"}, {"n": 1, "q": "a"}],
    "bos_token": "<s>", "eos_token": "</s>", "tools": None}


class Maker:
    """Programs; most expressions are of the kind that is asked for, so that most of them have a value."""

    def __init__(self, r):
        self.r, self.loops, self.names = r, 0, []

    def pick(self, *options):
        return self.r.choice(options)

    def text(self, depth):
        r = self.r
        if depth <= 0 or r.random() < 0.25:
            return self.pick("s", "t", "u", "e", "'x y'", '"q\\"\\n"', "''", "d.y", "m[0]", "messages[0].content", "bos_token",
                             "messages[1]['role']", "'a' 'b'", *(self.names or ["s"]))
        a = lambda: self.text(depth - 1)
        n = lambda: self.number(depth - 2)
        return self.pick(
            lambda: f"{a()} + {a()}", lambda: f"{a()} ~ {self.any(depth - 1)}", lambda: f"({a()})",
            lambda: f"{a()} | {self.pick('upper', 'lower', 'trim', 'capitalize', 'title', 'string', 'first', 'last', 'safe')}",
            lambda: f"{a()} | replace({a()}, {a()})", lambda: f"{a()} | default({a()})", lambda: f"{a()} | indent({self.pick(2, 4)})",
            lambda: f"{a()}.{self.pick('strip', 'lstrip', 'rstrip', 'upper', 'lower', 'title', 'capitalize')}()",
            lambda: f"{a()}.{self.pick('strip', 'lstrip', 'rstrip')}({a()})", lambda: f"{a()}.replace({a()}, {a()})",
            lambda: f"{self.any(depth - 1)} | tojson", lambda: f"{self.list(depth - 1)} | join({a()})",
            lambda: f"{a()}.join({self.list(depth - 1)})", lambda: f"{a()}[{n()}]", lambda: f"{self.named()}[{n()}:{n()}]",
            lambda: f"{self.named()}[::-1]", lambda: f"{self.named()}[:{n()}]", lambda: f"{a()} if {self.truth(depth - 1)} else {a()}",
            lambda: f"{a()}.split({a()})[{self.pick(0, -1, 1)}]", lambda: f"{a()} * {self.pick(0, 2, 3)}",
            lambda: f"{self.any(depth - 1)} | string", lambda: f"{a()}.partition({a()})[{self.pick(0, 1, 2)}]",
            lambda: f"({a()} | e)", lambda: f"{a()} or {a()}", lambda: f"{a()} and {a()}")()

    def named(self):
        return self.pick("s", "t", "u", "(s | e)", "(t + u)", "d.y", "messages[0].content")

    def number(self, depth):
        if depth <= 0 or self.r.random() < 0.3:
            return self.pick("i", "z", "k", "f", "g", "0", "1", "2", "-1", "10", "1.5", "d.x", "l[0]", "l | length",
                             *(["loop.index", "loop.index0", "loop.revindex", "loop.length"] if self.loops else ["3"]))
        a = lambda: self.number(depth - 1)
        return self.pick(
            lambda: f"{a()} {self.pick('+', '-', '*', '/', '//', '%')} {a()}", lambda: f"({a()})", lambda: f"-{a()}",
            lambda: f"{a()} | {self.pick('abs', 'int', 'float', 'round')}", lambda: f"{self.text(depth - 1)} | length",
            lambda: f"{self.list(depth - 1)} | {self.pick('length', 'count', 'sum', 'first', 'last', 'max', 'min')}",
            lambda: f"{self.text(depth - 1)} | int", lambda: f"{self.text(depth - 1)}.{self.pick('find', 'rfind', 'count')}({self.text(depth - 2)})",
            lambda: f"{a()} | round({self.pick(0, 1, 2)}, '{self.pick('common', 'floor', 'ceil')}')",
            lambda: f"{a()} ** {self.pick(0, 1, 2)}", lambda: f"{a()} if {self.truth(depth - 1)} else {a()}")()

    def truth(self, depth):
        if depth <= 0 or self.r.random() < 0.2:
            return self.pick("yes", "no", "true", "False", *(["loop.first", "loop.last"] if self.loops else ["yes"]))
        t = lambda: self.truth(depth - 1)
        x = lambda: self.any(depth - 1)
        return self.pick(
            lambda: f"not {t()}", lambda: f"{t()} {self.pick('and', 'or')} {t()}", lambda: f"({t()})",
            lambda: f"{self.number(depth - 1)} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.number(depth - 1)}",
            lambda: f"{x()} {self.pick('==', '!=')} {x()}",
            lambda: f"{self.text(depth - 1)} {self.pick('in', 'not in', '<', '==')} {self.text(depth - 1)}",
            lambda: f"{x()} {self.pick('in', 'not in')} {self.list(depth - 1)}",
            lambda: f"{self.text(depth - 1)} in {self.dict(depth - 1)}",
            lambda: f"{x()} is {self.pick('', 'not ')}{self.pick('defined', 'none', 'string', 'number', 'mapping', 'iterable', 'sequence', 'boolean', 'true', 'false', 'integer', 'float')}",
            lambda: f"missing is {self.pick('defined', 'undefined', 'none')}", lambda: f"d.missing is defined",
            lambda: f"{self.number(depth - 1)} is {self.pick('odd', 'even')}",
            lambda: f"{self.text(depth - 1)}.{self.pick('startswith', 'endswith')}({self.text(depth - 1)})",
            lambda: f"{self.text(depth - 1)} is {self.pick('lower', 'upper')}",
            lambda: f"{self.number(depth - 1)} < {self.number(depth - 1)} <= {self.number(depth - 1)}")()

    def list(self, depth):
        if depth <= 0 or self.r.random() < 0.3:
            return self.pick("l", "m", "o", "d.w", "messages", "r", "[1, 'a', none]", "range(3)", "(1, 2)", "[]", "['b', 'a']")
        a = lambda: self.list(depth - 1)
        return self.pick(
            lambda: f"[{self.any(depth - 1)}, {self.any(depth - 1)}]", lambda: f"{a()} + {a()}", lambda: f"{self.pick('l', 'm', 'd.w')}[{self.number(0)}:]",
            lambda: f"{self.pick('l', 'm', 'o')}[::-1]", lambda: f"{a()} | list", lambda: f"{a()} | reverse | list",
            lambda: f"{a()} | {self.pick('sort', 'sort(reverse=true)', 'unique | list')}", lambda: f"{self.text(depth - 1)} | list",
            lambda: f"{a()} | map('{self.pick('string', 'upper', 'int', 'tojson', 'length')}') | list",
            lambda: f"r | map(attribute='{self.pick('n', 'q', 'zz')}') | list", lambda: f"r | sort(attribute='n')",
            lambda: f"{a()} | {self.pick('select', 'reject')}('{self.pick('string', 'number', 'none', 'odd', 'defined')}') | list",
            lambda: f"r | {self.pick('selectattr', 'rejectattr')}('n', '{self.pick('equalto', 'gt', 'ne')}', {self.number(depth - 2)}) | list",
            lambda: f"messages | selectattr('role', 'equalto', 'user') | list", lambda: f"{self.text(depth - 1)}.split({self.text(depth - 1)})",
            lambda: f"{self.text(depth - 1)}.split()", lambda: f"{self.text(depth - 1)}.splitlines()",
            lambda: f"{self.dict(depth - 1)}.{self.pick('keys', 'values', 'items')}() | list", lambda: f"{self.dict(depth - 1)} | items | list",
            lambda: f"{self.dict(depth - 1)} | dictsort", lambda: f"{a()} | batch(2) | list", lambda: f"range({self.number(depth - 2)}) | list")()

    def dict(self, depth):
        if depth <= 0 or self.r.random() < 0.5:
            return self.pick("d", "p", "messages[0]", "r[0]", "{'a': 1}", "{}")
        return self.pick(lambda: f"{{{self.text(depth - 1)}: {self.any(depth - 1)}, 'k': {self.any(depth - 1)}}}",
                         lambda: f"dict(a={self.any(depth - 1)})", lambda: f"({self.dict(depth - 1)})")()

    def any(self, depth):
        return self.pick(self.text, self.text, self.number, self.truth, self.list, self.dict,
                         lambda depth: self.pick("none_", "none", "missing", "d.missing", "d['y']", "d.get('x')", "d.get('zz', 5)",
                                                 "messages[2].tool_calls[0].function.arguments"))(depth)

    def space(self):
        return self.pick("", "", " ", "\n", "  \n", "\n\n  ", "text", " a\n", "\t", "<|x|>")

    def tag(self, inside):
        return "{%" + self.pick("", "", "-", "+") + " " + inside + " " + self.pick("", "", "-") + "%}"

    def body(self, depth):
        return "".join(self.space() + self.statement(depth) for _ in range(self.r.randrange(1, 4))) + self.space()

    def statement(self, depth):
        r = self.r
        kind = r.random()
        if depth <= 0 or kind < 0.45:
            return "{{" + self.pick("", "", "-") + " " + self.any(3) + " " + self.pick("", "", "-") + "}}"
        if kind < 0.60:
            out = self.tag("if " + self.truth(3)) + self.body(depth - 1)
            if r.random() < 0.3:
                out += self.tag("elif " + self.any(2)) + self.body(depth - 1)
            if r.random() < 0.5:
                out += self.tag("else") + self.body(depth - 1)
            return out + self.tag("endif")
        if kind < 0.78:
            target, over = r.choice([("v", self.list(2)), ("v", self.list(2)), ("v, w", self.dict(1) + ".items()"), ("v", self.text(1))])
            self.loops += 1
            self.names.append("(v | string)")
            inner = self.body(depth - 1)
            if r.random() < 0.2:
                inner += self.tag("if " + self.truth(2)) + self.tag(self.pick("break", "continue")) + self.tag("endif")
            self.names.pop()
            self.loops -= 1
            condition = self.pick("", "", " if v", " if v is not none")
            other = self.tag("else") + self.body(depth - 1) if r.random() < 0.2 else ""
            return self.tag(f"for {target} in {over}{condition}") + inner + other + self.tag("endfor")
        if kind < 0.86:
            return self.tag(f"set x = {self.any(3)}") + "{{ x }}"
        if kind < 0.89:
            return self.tag("set y") + self.body(depth - 1) + self.tag("endset") + "{{ y | trim }}{{ y | length }}"
        if kind < 0.93:
            return self.tag(f"set ns = namespace(a={self.any(2)}, b=0)") + self.tag("for v in l") + \
                self.tag("set ns.b = ns.b + v") + self.tag("endfor") + "{{ ns.a }}{{ ns.b }}"
        if kind < 0.96:
            return self.tag(f"macro f{depth}(a, b={self.any(1)})") + "{{ a }}" + self.space() + "{{ b }}" + self.tag("endmacro") + \
                f"{{{{ f{depth}({self.any(2)}) }}}}"
        return self.pick("{#- note -#}", "{# note #}", self.tag("raw") + "{{ no }}" + self.tag("endraw"))


def main():
    lib, libc = ctypes.CDLL(sys.argv[1]), ctypes.CDLL(None)
    libc.free.argtypes = [ctypes.c_void_p]
    lib.ellm_chat_free.argtypes = [ctypes.c_void_p]
    count, seed = int(sys.argv[2]), int(sys.argv[3])
    r, env, variables = random.Random(seed), environment(), json.dumps(VARIABLES)
    outcome, refused, different = collections.Counter(), collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            source = Maker(r).body(2)
            try:  # each with variables of its own: the filter indent of jinja2 changes a list that it is given
                want, reason = env.from_string(source).render(add_generation_prompt=True, **copy.deepcopy(VARIABLES)), None
            except Exception as error:  # whatever Python raises is a refusal
                want, reason = None, f"{type(error).__name__}: {error}"
            have, error = ours(lib, libc, folder, source, variables)
            if error and ("not supported" in error or "memory" in error):
                outcome["not supported"] += 1
                refused[error.split(": ", 1)[-1][-60:]] += 1
            elif reason and reason.startswith("TemplateAssertionError: No "):
                outcome["refused by jinja2 before they are reached"] += 1
            elif want == have:
                outcome["the same text" if want is not None else "refused by both"] += 1
            else:
                different += 1
                print(f"{source!r}\n  ours   {have!r} {error or ''}\n  jinja2 {want!r} {reason or ''}", flush=True)
    print(f"{count} programs, seed {seed}, jinja2 {jinja2.__version__}: " + ", ".join(f"{n} {k}" for k, n in outcome.items()) +
          f", {different} differences")
    if "-v" in sys.argv:
        print("\n".join(f"{n:6d} {text}" for text, n in refused.most_common(30)))
    return different != 0


if __name__ == "__main__":
    sys.exit(main())

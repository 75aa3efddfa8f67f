#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package's models: what they say equals what the program says; streams, stops, seeds; errors."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from python_testing import *

run_as_script(__name__, __file__)

import json
import math

import numpy
import pytest

import entrollm

ONCE = "Once upon a time"


def run_json(path, *arguments):
    return json.loads(run_program("run", "-m", path, "--json", "-q", *arguments))


# ------------------------------------------------------------------- equality


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_generate_equals_run(model, stories, seed):
    told = run_json(stories, "-p", ONCE, "-n", "60", "--seed", str(seed))
    result = model.generate(ONCE, max_tokens=60, seed=seed)
    assert result.text == told["text"] and result.ids == told["ids"] and result.finish_reason == told["end"]
    assert result.prompt_tokens == told["prompt_tokens"] and result.completion_tokens == told["tokens"]
    assert result.seed == seed


def test_options_equal_those_of_run(model, stories):
    told = run_json(stories, "-p", ONCE, "-n", "40", "--seed", "7", "--temp", "1.2", "--top-k", "20", "--top-p", "0.8",
                    "--min-p", "0.02", "--repeat-penalty", "1.1")
    result = model.generate(ONCE, max_tokens=40, seed=7, temperature=1.2, top_k=20, top_p=0.8, min_p=0.02,
                            repeat_penalty=1.1)
    assert result.ids == told["ids"]


def test_folders_and_activations(folder, stories):
    told = run_json(folder, "-p", ONCE, "-n", "20")
    with entrollm.Model(folder) as other:
        assert other.generate(ONCE, max_tokens=20).ids == told["ids"]
        assert other.info.activations == "f32" and other.quality is None
    told = run_json(stories, "-p", ONCE, "-n", "20", "--activations", "i8")
    with entrollm.Model(stories, threads=1, activations="i8") as other:
        assert other.generate(ONCE, max_tokens=20).ids == told["ids"]
        assert other.info.activations == "i8" and other.info.kv_cache == "f16"


def test_chat_equals_run(model, stories):
    told = run_json(stories, "--chat", "--system", "Be kind.", "-p", "Tell me a story.", "-n", "30", "--seed", "5")
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Tell me a story."}]
    assert model.chat(messages, max_tokens=30, seed=5).ids == told["ids"]
    assert "".join(model.chat(messages, max_tokens=30, seed=5, stream=True)) == told["text"]


def test_render_equals_the_program(model, stories, tmp_path):
    messages = [{"role": "user", "content": "Grüße \u2603 <|im_end|>"}]
    file = tmp_path / "messages.json"
    file.write_text(json.dumps(messages))
    plain = run_program("render", "-m", stories, "--messages", str(file)).decode()
    asked = run_program("render", "-m", stories, "--messages", str(file), "--add-generation-prompt").decode()
    assert model.render(messages, add_generation_prompt=False) == plain
    assert model.render(messages) == asked


def test_templates(model):
    messages = [{"role": "user", "content": "hi"}]
    assert model.render(messages, template="{{ messages[0].content }}{{ more }}", variables={"more": 3}) == "hi3"
    assert model.render(messages, tools=[{"name": "f"}], template="{{ tools | length }}") == "1"
    with pytest.raises(entrollm.InputError, match="unexpected|expected|template"):
        model.render(messages, template="{% if %}")
    with pytest.raises(entrollm.InputError, match="no_such"):
        model.render(messages, template="no_such")


def test_messages_cannot_write_special_tokens(model):
    ids = model.tokenize(model.render([{"role": "user", "content": "x"}], add_generation_prompt=False))
    evil = [{"role": "user", "content": "<|im_end|>"}]
    special = model.tokenize("<|im_end|>")[-1]
    assert special in ids
    asked = model.chat(evil, max_tokens=0).prompt_tokens
    assert asked > len(model.tokenize(model.render(evil)))  # as text it takes more tokens


@pytest.mark.parametrize("text", ["", "Once upon a time", "a\n\tb  c ", "Grüße \u2603\U0001f600", "<|im_end|>",
                                  "\0x"])
def test_tokenize_equals_the_program(model, stories, text):
    data = text.encode()
    assert model.tokenize(text) == json.loads(run_program("tokenize", "-m", stories, "--json", stdin=data))["ids"]
    told = json.loads(run_program("tokenize", "-m", stories, "--json", "--no-bos", "--special-as-text", stdin=data))
    assert model.tokenize(text, add_special=False, parse_special=False) == told["ids"]
    ids = model.tokenize(text)
    line = " ".join(map(str, ids)).encode()
    assert model.detokenize(ids) == run_program("detokenize", "-m", stories, stdin=line).decode()
    told = run_program("detokenize", "-m", stories, "--skip-special", stdin=line).decode()
    assert model.detokenize(ids, skip_special=True) == told


def test_bytes_that_are_no_text(model):
    assert model.tokenize(b"\xff\xfe") == model.tokenize("\ufffd\ufffd")


def test_logits_equal_the_program(model, stories, tmp_path):
    ids = model.tokenize("Once upon a time there was a little girl named Mia. " * 4)
    assert len(ids) > 33  # more than one batch
    out = str(tmp_path / "logits")
    run_program("logits", "-m", stories, "--ids", " ".join(map(str, ids)), "-o", out)
    told = numpy.fromfile(out, dtype="<f4").reshape(len(ids), -1)
    mine = model.logits(ids)
    assert mine.dtype == numpy.float32 and mine.shape == (len(ids), model.vocab_size)
    assert numpy.array_equal(mine, told)
    for last in (1, 5, 33, len(ids)):
        assert numpy.array_equal(model.logits(numpy.array(ids, dtype=numpy.int64), last=last), told[-last:])


# ------------------------------------------------------------------- streams


def test_streams(model):
    stream = model.generate(ONCE, max_tokens=30, seed=4, stream=True)
    pieces = list(stream)
    result = stream.result
    assert len(pieces) > 10 and all(pieces) and "".join(pieces) == result.text
    assert result.text == model.generate(ONCE, max_tokens=30, seed=4).text
    assert stream.ended and list(stream) == []
    assert result.finish_reason == "length" and result.completion_tokens == 30 and result.tokens_per_second > 0
    assert result.message == {"role": "assistant", "content": result.text} and str(result) == result.text


def test_streams_of_one_model_at_the_same_time(model):
    alone = [model.generate(ONCE, max_tokens=25, seed=seed).text for seed in range(4)]
    streams = [model.generate(ONCE, max_tokens=25, seed=seed, stream=True) for seed in range(4)]
    got = [next(stream) for stream in streams]
    for i in reversed(range(4)):
        got[i] += "".join(streams[i])
    assert got == alone


def test_generate_many(model, monkeypatch):
    prompts = [ONCE, "The dog", model.tokenize("A cat sat")]
    alone = [model.generate(prompt, max_tokens=15).ids for prompt in prompts]
    assert [one.ids for one in model.generate_many(prompts, max_tokens=15)] == alone
    assert model.generate_many([]) == []
    monkeypatch.setattr(entrollm.model, "_MOST_OPEN", 2)
    assert [one.ids for one in model.generate_many((p for p in prompts * 2), max_tokens=15)] == alone * 2
    with pytest.raises(ValueError):
        model.generate_many([ONCE, ONCE, [5000]], max_tokens=300)
    assert model.generate(ONCE, max_tokens=15).ids == alone[0]
    with pytest.raises(TypeError):
        model.generate_many("one prompt")


def test_streams_are_closed(model):
    whole = model.generate(ONCE, max_tokens=50).text
    with model.generate(ONCE, max_tokens=50, stream=True) as stream:
        first = next(stream)
    assert stream.ended and list(stream) == []
    assert stream.result.finish_reason == "cancelled" and stream.result.text.startswith(first)
    assert whole.startswith(stream.result.text) and stream.result.completion_tokens < 50
    stream.close()
    total = model.cache_usage[0]
    for _ in range(5):
        next(model.generate(ONCE, max_tokens=400, stream=True))  # dropped
    assert model.generate(ONCE, max_tokens=50).text == whole
    assert model.cache_usage[0] == total


@pytest.mark.parametrize("stop", [" girl", ["zebra", " girl"], (b" girl",)])
def test_stop(model, stop):
    whole = model.generate(ONCE, max_tokens=40, seed=3).text
    assert " girl" in whole
    stream = model.generate(ONCE, max_tokens=40, seed=3, stop=stop, stream=True)
    assert "".join(stream) == whole[:whole.index(" girl")]
    assert stream.result.finish_reason == "stop"


def test_ends(model):
    ended = model.generate(ONCE, max_tokens=None, seed=1)
    assert ended.finish_reason == "eos" and 20 < ended.completion_tokens < 500
    longer = model.generate(ONCE, max_tokens=ended.completion_tokens + 20, seed=1, ignore_eos=True)
    assert longer.finish_reason == "length" and longer.ids[:ended.completion_tokens] == ended.ids
    full = model.generate(ONCE, max_tokens=None, ignore_eos=True)
    assert full.finish_reason == "context"
    assert full.prompt_tokens + full.completion_tokens == model.context + 1
    none = model.generate(ONCE, max_tokens=0)
    assert none.text == "" and none.ids == [] and none.finish_reason == "length"


def test_grammars(model, stories, tmp_path):
    for grammar in ('root ::= ("yes" | "no")', 'root ::= [0-9] [0-9] "-" [a-f]+'):
        file = tmp_path / "grammar"
        file.write_text(grammar)
        told = run_json(stories, "-p", ONCE, "-n", "20", "--seed", "3", "--grammar", str(file))
        result = model.generate(ONCE, max_tokens=20, seed=3, grammar=grammar)
        assert (result.ids, result.finish_reason) == (told["ids"], told["end"])
    assert model.generate(ONCE, grammar='root ::= "yes" | "no"').text in ("yes", "no")
    assert model.generate(ONCE, grammar='root ::= "yes"').finish_reason == "grammar"
    schema = {"type": "object", "properties": {"a": {"enum": [1, "x"]}}, "required": ["a"],
              "additionalProperties": False}
    for given in (schema, json.dumps(schema)):
        result = model.chat([{"role": "user", "content": "hi"}], json_schema=given, max_tokens=400)
        assert json.loads(result.text)["a"] in (1, "x")
    many = model.generate_many([ONCE, "The dog"], max_tokens=40, json_schema=schema)
    assert all(json.loads(one.text) for one in many)
    for wrong in (dict(grammar="root ::= ("), dict(grammar=""), dict(json_schema="{"), dict(json_schema={"type": "x"})):
        with pytest.raises(entrollm.InputError) as raised:
            model.generate(ONCE, **wrong)
        assert next(iter(wrong)) in str(raised.value)
    with pytest.raises(entrollm.UsageError):
        model.generate(ONCE, grammar="root ::= [a]", json_schema={})
    for wrong in (dict(grammar=3), dict(json_schema=3), dict(json_schema={"a": object()})):
        with pytest.raises(TypeError):
            model.generate(ONCE, **wrong)


def test_penalties_and_biases(model):
    plain = model.generate(ONCE, max_tokens=40, temperature=0)
    forced = model.generate(ONCE, max_tokens=5, temperature=0, logit_bias={409: 1e6})
    assert forced.ids == [409] * 5
    never = model.generate(ONCE, max_tokens=40, temperature=0, logit_bias={plain.ids[0]: -1e6})
    assert plain.ids[0] not in never.ids
    assert model.generate(ONCE, max_tokens=40, temperature=0, logit_bias={}, frequency_penalty=0,
                          presence_penalty=0).ids == plain.ids
    for penalty in ("frequency_penalty", "presence_penalty"):
        once = model.generate(ONCE, max_tokens=40, temperature=0, **{penalty: 100})
        assert len(set(once.ids)) == 40, penalty
        assert model.generate(ONCE, max_tokens=10, temperature=0, **{penalty: -100}).ids == [plain.ids[0]] * 10


def test_logprobs(model):
    plain = model.generate(ONCE, max_tokens=12, seed=6)
    assert plain.logprobs is None
    result = model.generate(ONCE, max_tokens=12, seed=6, logprobs=4)
    assert result.ids == plain.ids == [one.id for one in result.logprobs]
    logits = model.logits(model.tokenize(ONCE) + result.ids)[-13:-1].astype(numpy.float64)
    expected = logits - numpy.log(numpy.exp(logits).sum(axis=1, keepdims=True))
    for row, one in zip(expected, result.logprobs):
        assert math.isclose(row[one.id], one.logprob, abs_tol=1e-4) and len(one.top) == 4
        assert [i for i, _ in one.top] == list(numpy.argsort(-row, kind="stable")[:4])
        assert all(math.isclose(row[i], told, abs_tol=1e-4) for i, told in one.top)
    assert all(one.top == [] for one in model.generate(ONCE, max_tokens=3, logprobs=0).logprobs)
    stream = model.generate(ONCE, max_tokens=400, seed=6, logprobs=1, stream=True)
    next(stream)
    del stream  # what calls back into it is there as long as the answer
    many = model.generate_many([ONCE, "The dog"], max_tokens=12, seed=6, logprobs=4)
    assert many[0].logprobs == result.logprobs


def test_seeds(model):
    one, same = (model.generate(ONCE, max_tokens=20, seed=11) for _ in range(2))
    assert one.ids == same.ids
    drawn, other = (model.generate(ONCE, max_tokens=20, seed=None) for _ in range(2))
    assert drawn.seed != other.seed and drawn.ids != other.ids
    assert model.generate(ONCE, max_tokens=20, seed=drawn.seed).ids == drawn.ids
    greedy = {tuple(model.generate(ONCE, max_tokens=20, temperature=0, seed=seed).ids) for seed in range(3)}
    assert len(greedy) == 1


def test_prompts_that_begin_alike_are_not_computed_again(model):
    prompt = model.tokenize("There was a big house with a red door and a small garden behind it. " * 3)
    model.generate(prompt, max_tokens=4)
    again = model.generate(prompt + model.tokenize("And then"), max_tokens=4)
    assert again.cached_tokens >= len(prompt) - 1 and again.prompt_tokens > again.cached_tokens


def test_a_conversation_goes_on(model):
    messages = [{"role": "user", "content": "Tell me a story about a very small dog."}]
    first = model.chat(messages, max_tokens=12, seed=2)
    messages += [first.message, {"role": "user", "content": "And then?"}]
    second = model.chat(messages, max_tokens=12, seed=2)
    assert second.cached_tokens > first.prompt_tokens / 2
    with entrollm.Model(model.path) as fresh:
        assert fresh.chat(messages, max_tokens=12, seed=2).ids == second.ids


# ---------------------------------------------------------------- properties


def test_properties(model, stories):
    info = model.info
    assert (info.architecture, info.vocab_size, info.hidden_size) == ("LlamaForCausalLM", 4096, 256)
    assert (info.n_layers, info.n_heads, info.n_kv_heads, info.head_dim) == (4, 8, 4, 32)
    assert model.context == info.max_context == 512 and model.vocab_size == 4096
    assert model.parameters == 4196608 and info.bos_id == 0 and info.eos_ids == (0, 2)
    assert info.activations == "i16" and model.path == stories
    assert math.isclose(model.sampling.temperature, 0.7, rel_tol=1e-6) and model.sampling.top_k == 50
    assert "LlamaForCausalLM" in repr(model) and not model.closed


def test_a_smaller_context(stories):
    with entrollm.Model(stories, ctx=32, parallel=2) as small:
        assert small.context == 32 and small.cache_usage == (64, 64)
        result = small.generate(ONCE, max_tokens=None, ignore_eos=True)
        assert result.finish_reason == "context" and result.prompt_tokens + result.completion_tokens == 33
        with pytest.raises(entrollm.InputError, match="33 tokens, more than the context of 32"):
            small.generate([5] * 33)
        with pytest.raises(entrollm.InputError, match="33 ids"):
            small.logits([5] * 33)
        assert small.cache_usage[0] == 64
    with pytest.raises(entrollm.InputError, match="ctx 513 is more than the model's context of 512"):
        entrollm.Model(stories, ctx=513)


def test_other_ways_of_opening(stories, model):
    told = model.generate(ONCE, max_tokens=10).ids
    steps = []
    with entrollm.Model(stories, kv_cache="q8") as other:
        assert other.info.kv_cache == "q8"
    with entrollm.Model(stories, check=True, load=True, expand=True, kv_cache="f16", progress=steps.append) as other:
        assert other.generate(ONCE, max_tokens=10).ids == told
    assert {step.stage for step in steps} <= {"load", "expand", "check"} and steps
    with pytest.raises(entrollm.Interrupted):
        entrollm.Model(stories, check=True, progress=lambda step: False)
    with pytest.raises(ZeroDivisionError):
        entrollm.Model(stories, check=True, progress=lambda step: 1 / 0)


def test_notes_of_opening(small, tmp_path, caplog):
    for name in os.listdir(small):
        os.symlink(os.path.join(small, name), tmp_path / name)
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "generation_config.json").write_text('{"do_sample": true, "temperature": -3}')
    lines = []
    entrollm.Model(tmp_path, notes=lines.append).close()
    assert len(lines) == 1 and "temperature" in lines[0] and caplog.records == []
    entrollm.Model(tmp_path).close()
    assert [(one.name, one.getMessage()) for one in caplog.records] == [("entrollm", lines[0])]
    with pytest.raises(ZeroDivisionError):
        entrollm.Model(tmp_path, notes=lambda line: 1 / 0)


# -------------------------------------------------------------------- errors


def test_files_that_are_no_models(tmp_path, stories):
    with pytest.raises(entrollm.ResourceError) as missing:
        entrollm.Model(tmp_path / "none.ellm")
    assert isinstance(missing.value, OSError) and missing.value.status == 4 and "none.ellm" in missing.value.message
    other = tmp_path / "text.ellm"
    other.write_text("no model")
    with pytest.raises(entrollm.InputError) as wrong:
        entrollm.Model(str(other))
    assert wrong.value.status == 3 and "\n" not in str(wrong.value) and "text.ellm" in str(wrong.value)
    with open(stories, "rb") as file:
        data = bytearray(file.read())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.ellm"
    damaged.write_bytes(data)
    with pytest.raises(entrollm.InputError, match="check"):
        entrollm.Model(damaged, check=True)


def test_a_closed_model(stories):
    closed = entrollm.Model(stories)
    stream = closed.generate(ONCE, stream=True)
    next(stream)
    closed.close()
    closed.close()
    assert closed.closed and "closed" in repr(closed) and closed.context == 512
    with pytest.raises(entrollm.UsageError, match="closed"):
        list(stream)
    for use in (lambda: closed.generate(ONCE), lambda: closed.tokenize("x"), lambda: closed.logits([1]),
                lambda: closed.chat([]), lambda: closed.detokenize([1]), lambda: closed.render([]),
                lambda: closed.sampling, lambda: closed.cache_usage, lambda: closed.generate_many([]),
                closed.__enter__):
        with pytest.raises(ValueError, match="the model is closed"):
            use()
    stream.close()


def test_streams_keep_what_they_need(stories):
    stream = entrollm.Model(stories).generate(ONCE, max_tokens=30, stream=True)
    assert "".join(stream) == stream.result.text != ""


BAD = [
    (TypeError, dict(prompt=None)), (TypeError, dict(prompt=3)), (TypeError, dict(prompt=[1.5])),
    (TypeError, dict(prompt=["a"])), (TypeError, dict(prompt=numpy.zeros(3))), (TypeError, dict(prompt={"a": 1})),
    (ValueError, dict(prompt=[])), (ValueError, dict(prompt=[-1])), (ValueError, dict(prompt=[2**40])),
    (ValueError, dict(prompt=[2**70])), (ValueError, dict(prompt=[10**5000])), (ValueError, dict(prompt=[4096])),
    (ValueError, dict(prompt=numpy.array([[1, 2]]))), (ValueError, dict(prompt=numpy.array([-1]))),
    (ValueError, dict(prompt="\ud800")), (ValueError, dict(prompt=[5] * 513)), (TypeError, dict(prompt=[float("nan")])),
    (TypeError, dict(max_tokens="3")), (TypeError, dict(max_tokens=1.0)), (ValueError, dict(max_tokens=-1)),
    (ValueError, dict(max_tokens=2**70)), (TypeError, dict(max_tokens=True)),
    (ValueError, dict(temperature=-1)), (ValueError, dict(temperature=float("nan"))),
    (ValueError, dict(temperature=float("inf"))), (ValueError, dict(temperature=1e300)),
    (ValueError, dict(temperature=10**400)), (TypeError, dict(temperature="1")), (TypeError, dict(temperature=[1])),
    (ValueError, dict(top_p=1.1)), (ValueError, dict(top_p=-0.1)), (ValueError, dict(top_p=float("nan"))),
    (ValueError, dict(top_k=-1)), (ValueError, dict(top_k=2**31)), (TypeError, dict(top_k=1.5)),
    (ValueError, dict(min_p=2)), (ValueError, dict(repeat_penalty=0)), (ValueError, dict(repeat_penalty=-1)),
    (ValueError, dict(seed=-1)), (ValueError, dict(seed=2**64)), (TypeError, dict(seed=1.5)),
    (TypeError, dict(seed="1")),
    (ValueError, dict(stop="")), (ValueError, dict(stop=["a", ""])), (TypeError, dict(stop=3)),
    (TypeError, dict(stop=[3])), (ValueError, dict(stop="a\0b")), (ValueError, dict(stop="\udfff")),
    (ValueError, dict(frequency_penalty=101)), (ValueError, dict(presence_penalty=float("nan"))),
    (TypeError, dict(logit_bias=[1])), (ValueError, dict(logit_bias={4096: 1})), (ValueError, dict(logit_bias={-1: 1})),
    (TypeError, dict(logit_bias={"1": 1})), (ValueError, dict(logit_bias={1: float("inf")})),
    (ValueError, dict(logprobs=33)), (ValueError, dict(logprobs=-1)), (TypeError, dict(logprobs=True)),
    (TypeError, dict(stream=1)), (TypeError, dict(ignore_eos="yes")), (TypeError, dict(no_such=1)),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_arguments(model, case):
    kind, arguments = BAD[case]
    arguments = {"prompt": ONCE, "max_tokens": 3, **arguments}
    with pytest.raises(kind) as raised:
        model.generate(**arguments)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


@pytest.mark.parametrize("messages", ["hi", {"role": "user"}, 3, None])
def test_messages_that_are_no_list(model, messages):
    with pytest.raises(TypeError):
        model.chat(messages)


def test_bad_conversations(model):
    circle = []
    circle.append(circle)
    deep = []
    for _ in range(100000):
        deep = [deep]
    for content in (float("nan"), float("inf"), circle, deep, "\ud800"):
        with pytest.raises(ValueError):
            model.chat([{"role": "user", "content": content}])
    with pytest.raises(TypeError):
        model.chat([{"role": "user", "content": object()}])
    with pytest.raises(entrollm.InputError):
        model.chat([{"role": "user"}])
    with pytest.raises(entrollm.InputError):
        model.chat(["hello"])


def test_other_bad_arguments(model, stories):
    for arguments in (dict(threads=-1), dict(threads=2**40), dict(ctx=0), dict(ctx=2**31), dict(parallel=0),
                      dict(activations="i4"), dict(kv_cache="x"), dict(ctx=2**30, parallel=256)):
        with pytest.raises(ValueError):
            entrollm.Model(stories, **arguments)
    for arguments in (dict(threads=1.5), dict(activations=3), dict(check=1), dict(progress=3), dict(notes="x")):
        with pytest.raises(TypeError):
            entrollm.Model(stories, **arguments)
    for path in ("", "a\0b", "\ud800"):
        with pytest.raises(ValueError):
            entrollm.Model(path)
    for path in (None, 3, []):
        with pytest.raises(TypeError):
            entrollm.Model(path)
    for last in (0, -1, 4, 2**70):
        with pytest.raises(ValueError):
            model.logits([1, 2, 3], last=last)
    for ids in ([], [-1], [4096], [2**32]):
        with pytest.raises(ValueError):
            model.logits(ids)
    assert model.detokenize([]) == ""
    with pytest.raises(TypeError):
        model.tokenize(3)
    with pytest.raises(TypeError):
        model.detokenize("12")

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What real folders, files and chats hold: public reports tried on the program, one folder each in ../shared/cases.
The right values stand here; each case's page says where they come from. Small cases that the project makes itself
come first, so that a bare clone tests every kind."""

import json
import os
import shutil

from cli_testing import *

CASES = os.path.join(SHARED, "cases")
GOLDEN_MODEL = os.path.join(GOLDEN_SETS[0][0], "models", "llama-tied-gqa")


def said(p):
    return p.stdout.decode(errors="replace") + p.stderr.decode(errors="replace")


def prints(text, *arguments, **more):
    """The program ends well and prints just this."""
    p = run(*arguments, **more)
    return p.returncode == 0 and p.stdout == text.encode(), f"{arguments}: {p.returncode} {said(p)}"


def works(*arguments, **more):
    p = run(*arguments, **more)
    return p.returncode == 0, f"{arguments}: {p.returncode} {said(p)}"


def refuses(words, *arguments, **more):
    """Status 3, and one line with all these words."""
    p = run(*arguments, **more)
    text = p.stderr.decode(errors="replace")
    good = p.returncode == INPUT and text.count("\n") == 1 and all(w.lower() in text.lower() for w in words)
    return good, f"{arguments}: {p.returncode} {said(p)}"


def compressed(folder, *options):
    out = tmp(os.path.basename(os.path.dirname(os.path.abspath(folder))) + ".ellm")
    return out, run("compress", "--bits", "8", folder, "-o", out, "--force", "-t", "1", *options)


def notes(words, folder):
    """compress works and says this in a note."""
    _, p = compressed(folder)
    text = p.stderr.decode(errors="replace")
    return p.returncode == 0 and all(w.lower() in text.lower() for w in words), f"{p.returncode} {said(p)}"


def every(*checks):
    return all(good for good, _ in checks), "\n".join(detail for good, detail in checks if not good)


# ---------------------------------------------------------------------------------- the folders of ../shared/cases


def additional_chat_templates(folder):
    file, _ = compressed(folder)
    text, messages = "TOOLS=f\nuser: hi\n", os.path.join(folder, "..", "m.json")
    return every(*(prints(text, "render", "-m", m, "--messages", messages) for m in (folder, file)))


def chat_marker_seen_by_template(folder):
    p = run("chat", "-m", folder, "-n", "0", stdin=b"a<|im_end|>b\n")
    return "prompt 4 tokens" in said(p), said(p)


def chat_template_dict(folder):
    return prints("D1", "render", "-m", folder, "--messages", os.path.join(folder, "..", "m.json"))


def chat_template_variables(folder):
    given = os.path.join(folder, "..", "m.json")
    with open(given) as f:
        plain = {"messages": json.load(f)["messages"]}
    with open(tmp("plain.json"), "w") as f:
        json.dump(plain, f)
    text = run("render", "-m", folder, "--messages", given, "--add-generation-prompt").stdout.decode()
    variable = "--template-var", "enable_thinking=false"
    return every(
        ("</think>" in text, text),
        prints(text, "render", "-m", folder, "--messages", tmp("plain.json"), "--add-generation-prompt", *variable),
        works("run", "-m", folder, "--chat", "-p", "hi", "-n", "2", *variable),
        works("chat", "-m", folder, "-n", "2", *variable, stdin=b"hi\n"),
    )


def runs_as_chat(folder):
    return prints("OK", "run", "-m", folder, "--chat", "-p", "hi", "-n", "4", "-t", "1", "-q")


def eos_tokenizer_union(folder):
    answer = run_json("run", "-m", folder, "--chat", "-p", "hi", "-n", "12", "-t", "1")
    return answer is not None and answer["text"] == "OK", answer


def generation_config_refuses_model(folder):
    return works("run", "-m", folder, "-p", "hi", "-n", "2", "--top-k", "5", "-q")


def load_openai_messages(folder):
    p = run("chat", "-m", folder, "-n", "3", stdin=b"/load m.json\nhi\n", cwd=os.path.join(folder, ".."))
    return p.returncode == 0 and b"m.json: message" not in p.stderr, said(p)


def message(*words):
    def check(folder):
        out = tmp("message.ellm")
        return every(refuses(words, "run", "-m", folder, "-p", "hi", "-n", "2", "-t", "1"),
                     refuses(words, "compress", "--bits", "8", folder, "-o", out))
    return check


def message_gguf(folder):
    file = os.path.join(folder, "..", "m.gguf")
    return every(refuses(["GGUF"], "run", "-m", file, "-p", "hi"),
                 refuses(["GGUF"], "compress", "--bits", "8", file, "-o", tmp("gguf.ellm")))


def taken_or(*words):
    """Either the folder is taken, or the message leads to the cause."""
    def check(folder):
        taken = works("run", "-m", folder, "-p", "hi", "-n", "2", "-t", "1")
        return taken if taken[0] else message(*words)(folder)
    return check


def nan_in_kept_tensor(folder):
    file, p = compressed(folder)
    if p.returncode == INPUT:
        return b"norm" in p.stderr or b"nan" in p.stderr.lower(), said(p)
    return refuses([], "run", "-m", file, "-p", "hello", "-n", "3", "-t", "1", "-q")


def rope_dynamic(folder):
    plain = tmp("rope-default")
    shutil.copytree(folder, plain, copy_function=shutil.copyfile)
    with open(os.path.join(plain, "config.json")) as f:
        config = json.load(f)
    for name in ("rope_parameters", "rope_scaling"):
        if config.get(name):
            config[name] = {"rope_type": "default", "rope_theta": config[name].get("rope_theta", 10000.0)}
    os.chmod(plain, 0o755)
    os.remove(os.path.join(plain, "config.json"))
    with open(os.path.join(plain, "config.json"), "w") as f:
        json.dump(config, f)
    text = run("run", "-m", plain, "-p", "hi", "-n", "8", "-t", "1", "-q").stdout.decode()
    return prints(text, "run", "-m", folder, "-p", "hi", "-n", "8", "-t", "1", "-q")


def run_prompt_from_file(folder):
    short = tmp("prompt.txt")
    with open(short, "w") as f:
        f.write("hi")
    by_option = run("run", "-m", folder, "-p", "hi", "-n", "4", "-q").stdout.decode()
    p = run("run", "-m", folder, "-f", os.path.join(folder, "..", "p.txt"), "-n", "2", "-q")
    return every(prints(by_option, "run", "-m", folder, "-f", short, "-n", "4", "-q"),
                 prints(by_option, "run", "-m", folder, "-p", "-", "-n", "4", "-q", stdin=b"hi"),
                 (p.returncode in (0, INPUT) and b"Argument list" not in p.stderr, said(p)))


def sampling_top_k_default(folder):
    text = said(run("chat", "-m", folder, "-q", stdin=b"/set\n"))
    return any(line.split() == ["top_k", "50"] for line in text.splitlines()), text


def runs_compressed(folder):
    file, p = compressed(folder)
    return every((p.returncode == 0, said(p)), works("run", "-m", file, "-p", "hello", "-n", "3", "-t", "1", "-q"))


def stray_files_embedded(folder):
    file, p = compressed(folder)
    table = run("inspect", file, "--table").stdout + p.stdout + p.stderr
    return p.returncode == 0 and b"not meant for others" not in read(file) and b"tokenizer.json" in table, said(p)


def template_filter_in_untaken_branch(folder):
    return prints("hi", "render", "-m", folder, "--messages", os.path.join(folder, "..", "m.json"))


def tokenizes(text, ids):
    return lambda folder: prints(ids + "\n", "tokenize", "-m", folder, stdin=text.encode())


CLASSES = tokenizes("a漢b c, d", "97 230 188 162 98 32 99 44 32 100")
CHECKS = {
    "additional-chat-templates": additional_chat_templates,
    "chat-marker-seen-by-template": chat_marker_seen_by_template,
    "chat-template-dict": chat_template_dict,
    "chat-template-variables": chat_template_variables,
    "config-big-integer": runs_as_chat,
    "config-duplicate-key": runs_as_chat,
    "eos-tokenizer-union": eos_tokenizer_union,
    "generation-config-refuses-model": generation_config_refuses_model,
    "load-openai-messages": load_openai_messages,
    "message-consolidated": message("consolidated.safetensors", "Hugging Face"),
    "message-gguf": message_gguf,
    "message-lfs-pointer": message("model.safetensors", "git-lfs", "git lfs pull"),
    "message-other-name": message("model-bf16.safetensors", "model.safetensors"),
    "message-pytorch-bin": message("safetensors", "pytorch_model.bin"),
    "message-shards-without-index": taken_or("model-00001-of-00001.safetensors", "index"),
    "nan-in-kept-tensor": nan_in_kept_tensor,
    "rope-dynamic": rope_dynamic,
    "run-prompt-from-file": run_prompt_from_file,
    "sampling-top-k-default": sampling_top_k_default,
    "silent-extra-tensor": runs_compressed,
    "silent-fp8": lambda folder: notes(["cannot be run"], folder),
    "silent-prefix-orig-mod": runs_compressed,
    "silent-unigram-tokenizer": lambda folder: notes(["Unigram"], folder),
    "stray-files-embedded": stray_files_embedded,
    "template-filter-in-untaken-branch": template_filter_in_untaken_branch,
    "tokenizer-added-token-twice": tokenizes("a<|im_end|>", "97 258"),
    "tokenizer-nested-class": CLASSES,
    "tokenizer-posix-class-and-escapes": CLASSES,
}



# ------------------------------------------------------------- the kinds that no other test of the project has, small


def edited(name, file, change):
    """A copy of a golden model in which change(content) is done to a JSON file."""
    folder = tmp(os.path.join(name, "in"))
    shutil.copytree(GOLDEN_MODEL, folder, ignore=shutil.ignore_patterns("*.f32", "golden.json"))
    path = os.path.join(folder, file)
    with open(path) as f:
        content = json.load(f)
    change(content)
    with open(path, "w") as f:
        json.dump(content, f)
    return folder


def unigram(tokenizer):
    tokenizer["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [["<s>", 0.0], ["a", -1.5]], "byte_fallback": False}


def listed_twice(tokenizer):
    tokenizer["added_tokens"].append(dict(tokenizer["added_tokens"][1]))


def nested_class(tokenizer):
    split = {"type": "Split", "pattern": {"Regex": r" ?[^(\s|[.,!?…。，、।۔،])]+"}, "behavior": "Isolated",
             "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, level]}


def filter_in_branch(config):
    config["chat_template"] = ("{% if tools %}{% for t in tools %}{{ t | from_json }}{% endfor %}{% endif %}"
                               "{{ messages[0].content }}")


with open(tmp("hi.json"), "w") as f:
    json.dump([{"role": "user", "content": "hi"}], f)
for name, (good, detail) in {
    "a note for a Unigram tokenizer": notes(["Unigram"], edited("unigram", "tokenizer.json", unigram)),
    "an added token listed twice": prints("1\n", "tokenize", "-m", edited("twice", "tokenizer.json", listed_twice),
                                          stdin=b"</s>"),
    "a class within a class": works("tokenize", "-m", edited("nested", "tokenizer.json", nested_class), stdin=b"a, b"),
    "a filter in a branch that is not taken": prints(
        "hi", "render", "-m", edited("branch", "tokenizer_config.json", filter_in_branch), "--messages", tmp("hi.json")),
}.items():
    ok(good, name, detail)

if not os.path.isdir(CASES):
    skip("reported cases", "../shared is absent")
    done()
for name in sorted(os.listdir(CASES)):
    check = CHECKS.get(name)
    good, detail = check(os.path.join(CASES, name, "in")) if check else (False, "no right value in this test")
    ok(good, name, detail)
done()

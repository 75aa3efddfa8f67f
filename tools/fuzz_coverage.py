#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many lines of each reader of untrusted bytes the corpus of its fuzz target reaches, by gcov.

  tools/fuzz_coverage.py [-v] [--build FOLDER] [TARGET...]

Builds the targets with gcc in build/coverage, replays fuzz/corpus/TARGET, and prints lines, lines reached and percent
of each reader and its files. -v: also the lines that were not reached. Needs gcovr."""

import argparse
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What reads the bytes of each target.
READERS = {
    "block": ["coder/codebook", "coder/decode_scalar", "coder/levels", "coder/raw_bits", "coder/geometry"],
    "config": ["arch/config", "arch/config_fields", "arch/rope_config", "arch/generation_config", "arch/arch", "arch/usual"]
              + ["arch/" + family for family in ("gemma", "llama", "mistral", "phi3", "qwen", "smollm3")],
    "container": ["container/reader", "container/record", "coder/patches"],
    "eval": ["eval/choice_read", "eval/lines", "eval/pages", "eval/wikitext", "eval/gsm8k_extract"],
    "gguf": ["gguf/*", "source/gguf_config", "source/gguf_tokenizer", "source/gguf_pretokenizer", "source/gguf_arch"],
    "grammar": ["grammar/*"],
    "hub": ["hub/answers", "hub/list", "hub/names", "hub/choose"],
    "index": ["checkpoint/checkpoint"],
    "logits": ["eval/reference"],
    "options": ["cli/options"],
    "prompt_cache": ["model/prompt_cache"],
    "request": ["serve/fields", "serve/messages", "serve/request", "serve/calls", "serve/call_stream", "serve/grammars"],
    "resume": ["convert/journal", "convert/measurements"],
    "safetensors": ["checkpoint/safetensors"],
    "sentencepiece": ["text/sentencepiece", "text/protobuf", "text/charsmap", "text/scored", "text/scored_bpe", "text/unigram"],
    "template": ["template/*/*"],
    "tokenizer": ["text/*"],
}
# Files of another reader.
OTHERS = {"tokenizer": ["sentencepiece", "sentencepiece_config", "protobuf", "charsmap", "scored_bpe", "companion", "marked"]}
# Functions that read nothing of strangers: writers, choices, what callers ask later.
NOT_READING = {
    "block": r"coder_codebook_(layout|plain|fields)|coder_(un)?tile_block|search_level|levels_choose|coder_plain_bytes",
    "config": r"arch_tensor_name|arch_expert_part|not_used",
    "container": r"coder_clip.*|coder_patch_codes|coder_patches_(places|bytes|store)|ellm_file_.*|format_\w+_store|store_groups|"
                 r"store_part|container_(open_loaded|find|tensor_usable|path|file_bytes|lock|asset_name|metadata.*|part_of|need_whole|"
                 r"has_block|tensor_describe|identity|source|drop_blocks)",
    "grammar": r"ellm_grammar_(bytes|limit|forget)|forget|grammar_check_tokenizer|grammar_mask_words",
    "index": r"checkpoint_(path|metadata|asset\w*|left_out|shard_state|unchanged|map)",
    "logits": r"store_double|find_top|reference_row_encode",
    "prompt_cache": r"prompt_cache_head",
    "request": r"last_idle|request_answers|grammars_free",
    "resume": r"\w+_digest|make_key|fail_key|read_file|measurements_(open|save)|add_\w+",
    "tokenizer": r"text_encode_marked|\w+_marked|ellm_stream_id_bytes|ellm_tokenizer_(find|is_special)|sort_marks|has_inner_mark",
}


def sources(target):
    found = []
    for pattern in READERS[target]:
        found += sorted(glob.glob(os.path.join(ROOT, "src", pattern + ".c")))
    left_out = OTHERS.get(target, [])
    return [f for f in found if os.path.splitext(os.path.basename(f))[0] not in left_out]


def measure(build, target):
    """{file: {line: count}} of one replay."""
    for path in glob.glob(os.path.join(build, "**", "*.gcda"), recursive=True):
        os.remove(path)
    subprocess.run([os.path.join(build, "fuzz", "fuzz_" + target), os.path.join(ROOT, "fuzz", "corpus", target)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    command = ["gcovr", "--root", ROOT, "--json", "-", "--gcov-ignore-parse-errors=all", "--merge-mode-functions=merge-use-line-max"]
    for file in sources(target):
        command += ["--filter", os.path.relpath(file, ROOT)]
    out = subprocess.run(command + [build], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if out.returncode:
        sys.exit(out.stderr.decode())
    lines = {}
    for file in json.loads(out.stdout)["files"]:
        reached = lines.setdefault(file["file"], {})
        for line in file["lines"]:
            if re.fullmatch(NOT_READING.get(target, "-"), line.get("function_name") or ""):
                continue
            reached[line["line_number"]] = max(reached.get(line["line_number"], 0), line["count"])
    return lines


def ranges(numbers):
    parts = []
    for n in numbers:
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return " ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "coverage"))
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_args()
    targets = arguments.targets or sorted(READERS)
    subprocess.run(["cmake", "-S", ROOT, "-B", arguments.build, "-DCMAKE_BUILD_TYPE=None", "-DENTROLLM_FUZZ=ON", "-DENTROLLM_TESTS=OFF",
                    "-DENTROLLM_HARDEN=OFF", "-DCMAKE_C_FLAGS=-O0 --coverage"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", arguments.build, "-j", str(os.cpu_count()), "--target"] + ["fuzz_" + t for t in targets],
                   check=True, stdout=subprocess.DEVNULL)
    print("| reader | lines | reached | |\n|---|---:|---:|---:|")
    for target in targets:
        files = measure(arguments.build, target)
        n, hit = (sum(f(x.values()) for x in files.values()) for f in (len, lambda v: sum(c > 0 for c in v)))
        print(f"| {target} | {n:,} | {hit:,} | {100 * hit / max(n, 1):.1f} % |", flush=True)
        for name, lines in sorted(files.items()) if arguments.verbose else []:
            missed = sorted(line for line, count in lines.items() if count == 0)
            print(f"    {name}: {len(lines) - len(missed)} of {len(lines)}; not {ranges(missed)}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The part of docs/REPRODUCTION.md about SmolLM2-135M-Instruct: see bench/reproduction.py.

FOLDER keeps the model (tools/fetch_model.sh), the compressed files, what `compress` measured of the model, and every
figure (figures.json): what is there is not measured again. Standard library only.
"""

import json
import os
import subprocess
import sys
import textwrap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VARIANTS = (  # name, what the table calls it
    ("full", "as it is, in floats"),
    ("paper8", "uint8, the paper's way"),
    ("sized8", "any size, as many bits"),
    ("paper4", "uint4, the paper's way"),
    ("sized4", "any size, as many bits"),
)
WIKI = "wikitext2"

TEXT = """
## A model of one of the paper's families: SmolLM2-135M-Instruct

The paper has smolLM-1.7B-Instruct among its models. SmolLM2-135M-Instruct is a small one of the next generation; its
weights are those of a package that holds them as Q4_1 ([GGUF.md](GGUF.md)), read as floats, which is what "as it is"
stands for. KL and protocol a are over the first {kl_chunks} chunks of WikiText-2 test. Files run as they do by default,
with 16-bit activations.
{more}

{rows}
{speeds}{words}"""

WHAT = {
    "b": ("WikiText-2, b", "Protocol b is over {b_windows} windows of 2,048 tokens."),
    "d": ("WikiText-2, d (words)", "Protocol d is over {d_pages} pages."),
    "hellaswag": ("HellaSwag", "HellaSwag is acc_norm over {smollm2_items} items."),
    "gsm8k": ("GSM8K, strict / flexible", "GSM8K is over {questions} questions after 8 examples."),
}
SIZED = """"Any size" is `compress --target-bpw` at the effective bits of the row above, effort {effort}."""
SPEED = """
Speed of the same codes, coded and plain (`bench model`, prompt of 512, 64 generated, median and range of 3;
{machine}):

{table}
"""
NOT_MEASURED = "Not measured yet on this model: {}."
WORDS = """
- **The paper's bits reproduce on a model of its family**: {bits8} at uint8 and {bits4} at uint4, where the paper has
  5.58 and 1.39 (Phi-3-mini). That is {smaller8} and {smaller4} less than the same codes stored plainly; the paper has
  up to 30 % and 65 %.
- **8 bits cost something here**: KL is {kl8} nats per token, and perplexity rises from {reference} to
  {perplexity8}.{sized8}
- **The paper's quality at 4 bits does not reproduce.** One step per tensor leaves nothing of this model: its
  perplexity is {perplexity4}, and its likeliest token is the same as before in {top4} of places. The paper's own
  models rise by 1 to 12 %.{sized4}
"""
SIZED8 = """ With as many
  bits, scales of rows and columns, and error feedback, KL is {kl}."""
SIZED4 = """ With as many
  bits, scales, and error feedback, KL is {kl}, and the likeliest token is the same in {top} of places: so few
  bits are too few for this model, whatever the method ([QUANTIZATION.md](QUANTIZATION.md) has its curve)."""
GSM8K_WORDS = """- **GSM8K says nothing at this size.** The model as it is solves {strict} (strict) or {flexible}
  (flexible) of {n} questions, so the files cannot be told apart by it. The paper's Phi-3-mini solves 77 of
  100, and 71 at uint4.
"""
SPEED_WORDS = """- **Coded weights do not generate faster than plain ones here**: {ratio8} times as fast at 8 bits,
  {ratio4} at 4, where the paper has 1.32 to 2.47 on its device. A model this small is not limited by
  memory; the SmolLM-1.7B shape, which is, generates 1.15 times as fast at 8 bits ([PERFORMANCE.md](PERFORMANCE.md)).
"""


class Figures:
    def __init__(self, run, options):
        self.run, self.options = run, options
        self.folder = os.path.abspath(options.smollm2)
        self.path = os.path.join(self.folder, "figures.json")
        os.makedirs(self.folder, exist_ok=True)
        self.all = {}
        if os.path.exists(self.path):
            with open(self.path) as f:
                self.all = json.load(f)
        fetch = os.path.join(ROOT, "tools", "fetch_model.sh")
        subprocess.check_call([fetch, "smollm2", self.folder], stdout=sys.stderr)
        self.source = os.path.join(self.folder, "smollm2.gguf")

    def get(self, variant, name, measure):
        """The figure of this name, a JSON value, measured if it is not there."""
        key = f"{variant} {name}"
        if key not in self.all:
            self.all[key] = measure()
            with open(self.path + ".part", "w") as f:
                json.dump(self.all, f, indent=1)
            os.replace(self.path + ".part", self.path)
        return self.all[key]

    def file(self, variant):
        return self.source if variant == "full" else os.path.join(self.folder, variant + ".ellm")

    def compress(self, variant, *options):
        path = self.file(variant)
        if not os.path.exists(path):
            self.run("compress", self.source, "-o", path, "-t", str(self.options.threads), *options)
        return self.get(variant, "totals", lambda: self.run("inspect", path)["totals"])

    def bits(self, variant):
        return self.all[variant + " totals"]["coded_bits_per_weight"]

    def make(self, names):
        """The files: the paper's, the same codes stored plainly, and by any size those of `names`, of the same bits."""
        for width in ("8", "4"):
            self.compress("paper" + width, "--bits", width)
            self.compress("plain" + width, "--bits", width, "--code", "none")
            if "sized" + width not in names:
                continue
            plan = ["--plan", os.path.join(self.folder, "smollm2.plan"), "--effort", self.options.effort]
            bits = f"{self.bits('paper' + width):.3f}"
            self.compress("sized" + width, "--target-bpw", bits, "--prefer", "size", *plan)

    def evaluate(self, name, *options):
        found = {}
        for variant, _ in self.variants:
            if variant == "full" and options[0] == "divergence":
                continue
            command = ["eval", *options, "-m", self.file(variant), "-t", str(self.options.threads)]
            result = self.get(variant, name, lambda command=command: self.run(*command))
            found[variant] = {k: v for k, v in result.items() if k != "chunks"}
        return found

    def speed(self, variant):
        def measure():
            command = ["bench", "model", "-m", self.file(variant), "-p", "512", "-n", "64", "--repeats", "3"]
            rows = self.run(*command)["rows"]
            return {r["test"]: r["tokens_per_s"] for r in rows}

        return self.get(variant, "speed", measure)


def plus_minus(result, name, scale=1.0, form=".2f"):
    value = scale * result[name]
    if value >= 1e5:
        return f"{value:.2g}"
    return f"{value:{form}} ± {scale * result[name + '_stderr']:{form}}"


def section(run, options):
    """Its text, a heading and what is below it."""
    figures = Figures(run, options)
    shared = os.path.join(options.shared, "eval")
    raw = os.path.join(shared, WIKI, "wiki.test.raw")
    names, measures = options.variants.split(","), options.measures.split(",")
    variants = [v for v in VARIANTS if v[0] in names]
    figures.variants = variants
    figures.make(names)
    saved = os.path.join(figures.folder, "reference.logits")
    if not os.path.exists(saved):
        threads = ["-t", str(options.threads), "--limit", str(options.kl_chunks)]
        run("eval", "divergence", "--reference", figures.source, "-f", raw, *threads, "--save", saved)
    kl = figures.evaluate(f"kl {options.kl_chunks}", "divergence", "-f", raw, "--reference", saved)
    ways = {
        "b": (f"b {options.b_windows}", "perplexity", "-f", raw, "--protocol", "b", "--limit", str(options.b_windows)),
        "d": (
            f"d {options.d_pages}", "perplexity", "-f", os.path.join(shared, WIKI, "wiki.test.pages.jsonl"), "--protocol",
            "d", "--limit", str(options.d_pages),
        ),
        "hellaswag": (
            f"hellaswag {options.smollm2_items}", "hellaswag", "--limit", str(options.smollm2_items), "-f",
            os.path.join(shared, "hellaswag", "hellaswag_val_1000_activitynet.jsonl"),
        ),
        "gsm8k": (
            f"gsm8k {options.questions}", "gsm8k", "-f", os.path.join(shared, "gsm8k", "test.jsonl"), "--examples",
            os.path.join(shared, "gsm8k", "gsm8k_cot_8shot_prefix.txt"), "--limit", str(options.questions),
        ),
    }  # fmt: skip
    found = {m: figures.evaluate(*ways[m]) for m in ways if m in measures}
    heads = ["", "effective bits", "KL", "same top token", "WikiText-2, a"] + [WHAT[m][0] for m in found]
    rows = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for variant, label in variants:
        if variant == "full":
            any_of = next(iter(kl.values()))
            cells = [label, "", "", "", plus_minus(any_of, "reference_perplexity")]
        else:
            k = kl[variant]
            cells = [label, f"{figures.bits(variant):.3f}", f"{k['kl']:.4g}", f"{100 * k['same_top']:.1f} %"]
            cells.append(plus_minus(k, "perplexity"))
        cells += [cell(m, found[m][variant]) for m in found]
        rows.append("| " + " | ".join(cells) + " |")
    more = [WHAT[m][1] for m in found] + ([SIZED] if any(n.startswith("sized") for n in names) else [])
    names_of = {"b": "protocol b", "d": "protocol d", "hellaswag": "HellaSwag", "gsm8k": "GSM8K"}
    left = [text for m, text in names_of.items() if m not in found]
    left += ["the same sizes by any size"] if "sized8" not in names else []
    left += [] if "speed" in measures else ["the speed of coded against plain codes"]
    if left:
        more.append(NOT_MEASURED.format(",\n".join(", ".join(left[i : i + 4]) for i in range(0, len(left), 4))))
    page = TEXT.format(
        rows="\n".join(rows), speeds=speeds(figures) if "speed" in measures else "",
        words=words(figures, kl) + gsm8k_words(found) + (speed_words(figures) if "speed" in measures else ""),
        more="\n".join(m.format(**vars(options)) for m in more), **vars(options),
    )  # fmt: skip
    return wrapped(page)


def wrapped(page):
    """Paragraphs and items in lines of at most 120 characters; tables and headings as they are."""
    out, prose = [], []

    def end_of_prose():
        if prose:
            out.append(textwrap.fill(" ".join(prose), 120, subsequent_indent="  " if prose[0].startswith("- ") else "",
                                     break_long_words=False, break_on_hyphens=False))  # fmt: skip
            prose.clear()

    for line in page.split("\n"):
        if line == "" or line[0] in "|#" or line.startswith("- "):
            end_of_prose()
        if line == "" or line[0] in "|#":
            out.append(line)
        else:
            prose.append(line.strip())
    end_of_prose()
    return "\n".join(out)



def cell(measure, result):
    if measure == "hellaswag":
        return plus_minus(result, "acc_norm", 100, ".1f")
    if measure == "gsm8k":
        n = result["questions"]
        return f"{round(result['strict'] * n)} / {round(result['flexible'] * n)} of {n}"
    return plus_minus(result, "perplexity")


def words(figures, kl):
    """What holds and what does not; of the files that the paper's method makes."""
    if "paper8" not in kl or "paper4" not in kl:
        return ""

    def smaller(width):
        plain = figures.all[f"plain{width} totals"]["coded_bits_per_weight"]
        return f"{100 * (1 - figures.bits('paper' + width) / plain):.0f} %"

    return WORDS.format(
        bits8=f"{figures.bits('paper8'):.2f}", bits4=f"{figures.bits('paper4'):.2f}", smaller8=smaller("8"),
        smaller4=smaller("4"), kl8=f"{kl['paper8']['kl']:.3f}", reference=f"{kl['paper8']['reference_perplexity']:.1f}",
        perplexity8=f"{kl['paper8']['perplexity']:.1f}", perplexity4=f"{kl['paper4']['perplexity']:.2g}",
        top4=f"{100 * kl['paper4']['same_top']:.1f} %",
        sized8=SIZED8.format(kl=f"{kl['sized8']['kl']:.4f}") if "sized8" in kl else "",
        sized4=SIZED4.format(kl=f"{kl['sized4']['kl']:.1f}", top=f"{100 * kl['sized4']['same_top']:.0f} %")
        if "sized4" in kl else "",
    )  # fmt: skip


def gsm8k_words(found):
    result = found.get("gsm8k", {}).get("full")
    if result is None:
        return ""
    n = result["questions"]
    return GSM8K_WORDS.format(strict=round(result["strict"] * n), flexible=round(result["flexible"] * n), n=n)


def speed_words(figures):
    def ratio(width):
        coded, plain = (figures.speed(kind + width)["generate"]["median"] for kind in ("paper", "plain"))
        return f"{coded / plain:.2f}"

    return SPEED_WORDS.format(ratio8=ratio("8"), ratio4=ratio("4"))


def speeds(figures):
    rows = ["| | file | generated tokens/s | prompt tokens/s |", "|---|---:|---:|---:|"]
    for variant, label in (
        ("plain8", "uint8, not coded"), ("paper8", "uint8, coded"), ("plain4", "uint4, not coded"),
        ("paper4", "uint4, coded"),
    ):  # fmt: skip
        s = figures.speed(variant)
        size = os.path.getsize(figures.file(variant)) / 1e6
        rows.append(f"| {label} | {size:.1f} MB | {spread(s['generate'])} | {spread(s['prompt'])} |")
    return SPEED.format(machine=figures.options.machine, table="\n".join(rows))


def spread(rate):
    return f"{rate['median']:.0f} ({rate['min']:.0f} - {rate['max']:.0f})"

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One model over several hosts: what to expect, and whether the arithmetic is right.

    bench/scale.py predict                  tables for models of 7, 70 and 30 (mixture) billion weights on 1 to 16 hosts
    bench/scale.py measure MODEL [--ranks 1,2,4] [--turns 3] [--repeats 3] [--tokens 24]
                                            on this machine, alone and behind imposed networks, beside the prediction

A token takes what the slowest host needs to read and decode its share of the file, and what gathering takes: for each of
four gathers a layer (two more a layer with experts: none here) and one of the logits a delay, and a time for each byte that
comes from others:

    seconds = bytes of a token / ranks / (GB/s) + gathers * delay + bytes from others / (Gbit/s / 8)

Several streams that generate together read the weights once, but each gathers for itself. (On a processor they also have
to be multiplied, which takes no time here: so the rates of eight streams are at best these.) In a pipeline each host has
some of the layers, and hands the stream on to the next one.

`measure` imposes networks on the processes of this machine (tests/mpi/slow_network.c) and compares with the time that the
same processes need without, plus what the formula says of gathering. All networks are measured in turns, and of each the
fastest turn counts, because what else a machine does only ever makes it slower.
"""

import argparse
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
NETWORKS = {"1 GbE": (100, 1), "10 GbE": (30, 10), "100 GbE": (5, 100)}  # microseconds a gather, Gbit/s
# hidden size, columns that attention mixes, inside of the network (a token's, all experts together), layers, vocabulary,
# weights (of those a token reads), the share of its experts that a token chooses
MODELS = {
    "Mistral-7B": dict(hidden=4096, mixed=4096, inner=14336, layers=32, vocab=32768, weights=7.24e9, read=7.11e9),
    "Llama-3-70B": dict(hidden=8192, mixed=8192, inner=28672, layers=80, vocab=128256, weights=70.6e9, read=69.5e9),
    "Qwen3-30B-A3B": dict(hidden=2048, mixed=4096, inner=6144, layers=48, vocab=151936, weights=30.5e9, read=3.04e9,
                          outputs=8, chosen=8 / 128),
}
BITS = 3.35


def gathering(m, ranks):
    """Number of gathers of a token, bytes that a rank has from others."""
    if ranks == 1:
        return 0, 0
    columns = m["mixed"] + m["hidden"] + m["inner"] + m.get("outputs", 1) * m["hidden"]
    return 4 * m["layers"] + 1, 4 * (m["layers"] * columns + m["vocab"]) * (ranks - 1) / ranks


def gathering_seconds(m, ranks, network, streams=1):
    delay, gbits = NETWORKS[network]
    gathers, received = gathering(m, ranks)
    return gathers * delay / 1e6 + streams * received * 8 / (gbits * 1e9)


def bytes_read(m, streams):
    """For a token of each stream. Streams choose their experts as by chance: some are chosen by several."""
    chosen = m.get("chosen", 1)
    experts = (m["weights"] - m["read"]) / (1 - chosen) if chosen < 1 else 0
    return (m["read"] - experts * chosen + experts * (1 - (1 - chosen) ** streams)) * BITS / 8


def together(m, hosts, bandwidth, network, streams):
    """Tokens/s of all streams, when all hosts work on each token."""
    seconds = gathering_seconds(m, hosts, network, streams) if hosts > 1 else 0
    return streams / (bytes_read(m, streams) / hosts / (bandwidth * 1e9) + seconds)


def pipeline(m, hosts, bandwidth, network, streams):
    """Tokens/s of all streams, when each host has some of the layers, and works for some of the streams at a time."""
    delay, gbits = NETWORKS[network]
    group = max(1, streams // hosts)
    stage = bytes_read(m, group) / hosts / (bandwidth * 1e9) + delay / 1e6 + group * 4 * m["hidden"] * 8 / (gbits * 1e9)
    return min(streams, hosts * group) / (hosts * stage)


def predict_streams(hosts=4, bandwidth=25, streams=8):
    print(f"\nOne stream and {streams} together, {bandwidth} GB/s a host. Tokens/s of all streams:\n")
    print("| hosts | network | " + " | ".join(f"{name}, {n}" for name in MODELS for n in (1, streams)) + " |")
    print("|---|---|" + "---:|" * 2 * len(MODELS))
    rows = [("one", "", lambda m, n: together(m, 1, bandwidth, None, n))]
    for words, rate in (("a pipeline of", pipeline), ("together", together)):
        rows += [(f"{words} {hosts}" if rate == pipeline else f"{hosts} {words}", network,
                  lambda m, n, rate=rate, network=network: rate(m, hosts, bandwidth, network, n)) for network in NETWORKS]
    for words, network, rate in rows:
        print(f"| {words} | {network} | " + " | ".join(f"{rate(m, n):.1f}" for m in MODELS.values() for n in (1, streams)) + " |")


def predict():
    counts = (1, 2, 4, 8, 16)
    for name, m in MODELS.items():
        size = m["weights"] * BITS / 8
        print(f"\n{name}: {size / 1e9:.1f} GB at {BITS} bits a weight, {m['read'] * BITS / 8e9:.2f} GB a token. Tokens/s:\n")
        print("| a host reads | network | " + " | ".join(f"{n} host{'s' if n > 1 else ''}" for n in counts) + " |")
        print("|---|---|" + "---:|" * len(counts))
        for bandwidth in (25, 60):
            for network in NETWORKS:
                rates = [together(m, n, bandwidth, network, 1) for n in counts]
                best = max(rates)
                cells = [f"**{r:.1f}**" if r == best else f"{r:.1f}" for r in rates]
                print(f"| {bandwidth} GB/s | {network} | " + " | ".join(cells) + " |")
    predict_streams()


def shape_of(model):
    text = subprocess.check_output([os.path.join(BUILD, "entrollm"), "inspect", model, "--json"])
    shapes = {t["name"]: t["shape"] for t in json.loads(text)["tensors"]}
    vocab, hidden = shapes["model.embed_tokens.weight"]
    layers = sum(name.endswith(".mlp.down_proj.weight") for name in shapes)
    return dict(hidden=hidden, mixed=shapes["model.layers.0.self_attn.o_proj.weight"][1],
                inner=shapes["model.layers.0.mlp.down_proj.weight"][1], layers=layers, vocab=vocab)


def measured(args, ranks, network):
    """Seconds a token, bytes sent, share of the time spent in gathering."""
    command = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader", "-n", str(ranks)]
    if network:
        delay, gbits = NETWORKS[network]
        command += ["-x", "LD_PRELOAD=" + os.path.join(BUILD, "tests", "libslow_network.so")]
        command += ["-x", f"SLOW_NETWORK={delay} {gbits}"]
    command += [os.path.join(BUILD, "entrollm-mpi"), "bench", "model", "-m", args.model, "-p", "0", "-n", str(args.tokens)]
    command += ["-t", "1", "--repeats", str(args.repeats), "--json", "-q"]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    row = json.loads(subprocess.check_output(command, env=environment))["rows"][0]
    return 1 / row["tokens_per_s"]["median"], row["sent_bytes_a_token"], row["gathering_share"]


def measure(args):
    m = shape_of(args.model)
    print("| processes | network | tokens/s | predicted | ratio | kB sent a token | of the time in gathering |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for ranks in (int(n) for n in args.ranks.split(",")):
        networks = (None, *NETWORKS) if ranks > 1 else (None,)
        turns = [[measured(args, ranks, network) for network in networks] for _ in range(args.turns)]
        fastest = dict(zip(networks, map(min, zip(*turns))))
        for network, (seconds, sent, share) in fastest.items():
            expected = fastest[None][0] + gathering_seconds(m, ranks, network) if network else None
            cells = (f"{1 / expected:.1f} | {expected / seconds:.2f}") if expected else " | "
            print(f"| {ranks} | {network or 'memory'} | {1 / seconds:.1f} | {cells} | {sent / 1000:.0f} | {100 * share:.0f} % |",
                  flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("predict")
    p = commands.add_parser("measure")
    p.add_argument("model")
    p.add_argument("--ranks", default="1,2,4")
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--tokens", type=int, default=24)
    args = parser.parse_args()
    predict() if args.command == "predict" else measure(args)


if __name__ == "__main__":
    main()

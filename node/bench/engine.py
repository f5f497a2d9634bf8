"""The engine beside its peers, in one run. `make bench-engine` calls it.

    engine.py --node target/release/shoal-node --models FOLDER [--rounds 3] [--threads 2]

Every engine measures the same file in turn, so many rounds over, and the median of each figure is
shown: the machines are shared, and only figures of one run can be compared. Prints a table in
Markdown, and the ratios to the best peer.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

FIGURES = ["prefill 256", "1 stream", "4 streams", "8 streams"]
STEPS = {1: 48, 4: 24, 8: 16}
REAL = {
    "SmolLM2-135M-Instruct Q4_1": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "Gemma 3 270M Q4_K_M": "gemma-3-270m.Q4_K_M.gguf",
    "Qwen2.5-Coder-1.5B-Instruct Q4_K_M": "qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf",
}


def peer(name, path, threads):
    """One round of a peer, in a process of its own: its threads end with it."""
    code = (
        "import json,sys; sys.path.insert(0, sys.argv[1]); from peers import Peer;"
        "p = Peer(sys.argv[2], sys.argv[3], int(sys.argv[4]), 4096, 8);"
        "prompt = [(i * 7919) % min(p.vocab_size, 30000) + 100 for i in range(256)];"
        "p.prefill_speed(prompt);"
        "found = {'prefill 256': p.prefill_speed(prompt)};"
        "p.decode_speed(1, 8, prompt[:16]);"
        f"steps = {STEPS!r};"
        "found.update({f'{s} stream' + 's' * (s > 1): p.decode_speed(s, n, prompt[:16]) for s, n in steps.items()});"
        "print(json.dumps(found))"
    )
    here = str(pathlib.Path(__file__).parent)
    command = [sys.executable, "-c", code, here, name, str(path), str(threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def own(node, path, threads, more, isa=None):
    """One round of the engine."""
    command = [node, "bench", "--model", str(path), "--threads", str(threads), "--json", *more]
    environment = dict(os.environ, **({"SHOAL_ISA": isa} if isa else {}))
    run = subprocess.run(command, check=True, capture_output=True, env=environment)
    found = json.loads(run.stdout)
    return {
        "prefill 256": found["prefill"],
        "1 stream": found["decode"]["1"],
        "4 streams": found["decode"]["4"],
        "8 streams": found["decode"]["8"],
        "memory GB/s": found["memory_bandwidth"] / 1e9,
        "read GB/s": found["weight_bytes"] * found["decode"]["1"] / 1e9,
        "peak MB": found["peak_rss"] / 1e6,
    }


def contestants(arguments, path, quants):
    """Name and way of measuring of all that can run this file."""
    yield from (
        (f"shoal {label}", lambda more=more: own(arguments.node, path, arguments.threads, more))
        for label, more in quants
    )
    if arguments.isa:
        label, more = quants[-1]
        for isa in arguments.isa.split(","):
            measure = lambda isa=isa: own(arguments.node, path, arguments.threads, more, isa)
            yield f"shoal {label}, {isa}", measure
    for name in ("llama.cpp", "ik_llama"):
        yield name, lambda name=name: peer(name, path, arguments.threads)


def measure(arguments, path, quants):
    """Medians over the rounds: {who: {figure: value}}. Who fails is told of and left out."""
    runs = {}
    for _ in range(arguments.rounds):
        for name, run in contestants(arguments, path, quants):
            try:
                found = run()
                runs.setdefault(name, []).append(found)
            except subprocess.CalledProcessError as error:
                last = (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:]
                print(f"{name} cannot run {path.name}: {last}", file=sys.stderr)
    median = lambda values, key: statistics.median(value[key] for value in values)
    return {name: {key: median(found, key) for key in found[0]} for name, found in runs.items()}


def table(title, found):
    print(f"\n### {title}\n\n| tok/s | {' | '.join(FIGURES)} | weights read GB/s | peak MB |")
    print("|---|" + "---:|" * (len(FIGURES) + 2))
    for name, figures in found.items():
        cells = [f"{figures[key]:.0f}" if figures[key] >= 100 else f"{figures[key]:.1f}" for key in FIGURES]
        cells.append(f"{figures['read GB/s']:.1f} of {figures['memory GB/s']:.1f}" if "read GB/s" in figures else "")
        cells.append(f"{figures['peak MB']:.0f}" if "peak MB" in figures else "")
        print(f"| {name} | {' | '.join(cells)} |")
    peers = [figures for name, figures in found.items() if not name.startswith("shoal")]
    for name, figures in found.items():
        if peers and name.startswith("shoal"):
            ratios = [figures[key] / max(p[key] for p in peers) for key in FIGURES]
            print(f"| *{name} / best peer* | {' | '.join(f'{r:.2f}' for r in ratios)} | | |")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--node", required=True)
    parser.add_argument("--models", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--isa", default="", help="measure these too: avx2,scalar")
    parser.add_argument("--only", default="", help="files whose title has this in it")
    arguments = parser.parse_args()
    wanted = lambda title: arguments.only.lower() in title.lower()
    real = {title: arguments.models / name for title, name in REAL.items()}
    for title, path in real.items():
        if wanted(title) and path.exists():
            quants = [("as the file", []), ("Q8", ["--quant", "q8"]), ("Q4", ["--quant", "q4"])]
            table(title, measure(arguments, path, quants))
    from shapes import ensure

    words = {"smollm2-135m": "SmolLM2-135M-Instruct Q4_1", "qwen2.5-0.5b": "Qwen2.5-Coder-1.5B-Instruct Q4_K_M"}
    for shape, title in words.items():
        for kind in ("Q8_0", "Q4_0"):
            name = f"{shape} shape, random weights, {kind}"
            if wanted(name) and real[title].exists():
                path = ensure(shape, kind, real[title], arguments.models)
                table(name, measure(arguments, path, [("as the file", [])]))


if __name__ == "__main__":
    main()

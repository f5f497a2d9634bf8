"""Measures the engine and its peers in one run. `make bench-engine` calls it.

    engine.py --node target/release/shoal-node MODEL.gguf... [--rounds 3] [--threads 2]

Each round measures every engine on the same file, and the table shows the median of each figure: the
machines are shared, and only figures of one run can be compared. Prints a Markdown table with the
ratios to the best peer, and below it what a peer cannot do.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

from peers import MODULES, installed

HERE = pathlib.Path(__file__).parent
FIGURES = ["prefill 256", "1 stream", "4 streams", "8 streams"]
STEPS = {1: 48, 4: 24, 8: 16}
# The time limit in seconds for one engine and round: transformers is slow on the 1.5B model.
PATIENCE = 150
# The name of each real file in the table. Its weights are measured as they are in the file, and in at
# most five bits. (No file here has more than eight bits: "q8" means "as in the file".)
REAL = {
    "SmolLM2-135M-Instruct.Q4_1": "SmolLM2-135M-Instruct Q4_1",
    "gemma-3-270m.Q4_K_M": "Gemma 3 270M Q4_K_M",
    "qwen2.5-coder-1.5b-instruct.Q4_K_M": "Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
}
SHAPES = {
    "smollm2-135m": "SmolLM2-135M-Instruct.Q4_1",
    "qwen2.5-0.5b": "qwen2.5-coder-1.5b-instruct.Q4_K_M",
}


def llama(name, path, threads):
    """One round of llama.cpp or a fork, in its own process, so that its threads end with it."""
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
    return last([sys.executable, "-c", code, str(HERE), name, str(path), str(threads)])


def last(command, **environment):
    """What a command says in its last line, as JSON."""
    environment = dict(os.environ, **environment)
    run = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=PATIENCE)
    return json.loads(run.stdout.decode().strip().splitlines()[-1])


def own(node, path, threads, more, isa=None):
    """One round of the engine."""
    command = [node, "bench", "--model", str(path), "--threads", str(threads), "--json", *more]
    environment = dict(os.environ, **({"SHOAL_ISA": isa} if isa else {}))
    run = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=PATIENCE)
    found = json.loads(run.stdout)
    return {
        "prefill 256": found["prefill"],
        "1 stream": found["decode"]["1"],
        "4 streams": found["decode"]["4"],
        "8 streams": found["decode"]["8"],
        "memory GB/s": found["memory_bandwidth"] / 1e9,
        "read GB/s": found["weight_bytes"] * found["decode"]["1"] / 1e9,
        "weights MB": found["weight_bytes"] / 1e6,
        "peak MB": found["peak_rss"] / 1e6,
        "load s": found["load"],
    }


def contestants(arguments, path):
    """Name and way of measuring of all that may run this file."""
    threads = arguments.threads
    kept = {"shoal": [], "shoal, --quant q4": ["--quant", "q4"]}
    if "random" in path.name:
        kept.pop("shoal, --quant q4")
    for name, more in kept.items():
        yield name, lambda more=more: own(arguments.node, path, threads, more)
        for isa in filter(None, arguments.isa.split(",")):
            yield f"{name}, {isa}", lambda more=more, isa=isa: own(arguments.node, path, threads, more, isa)
    for name in filter(installed, MODULES):
        yield name, lambda name=name: llama(name, path, threads)
    if arguments.candle:
        yield "candle", lambda: last([arguments.candle, str(path)], RAYON_NUM_THREADS=str(threads))
    others = [("mistral.rs", sys.executable)] if arguments.mistralrs else []
    if arguments.torch:
        others += [(f"transformers {kind}", arguments.torch) for kind in ("f32", "bf16")]
    for name, python in others:
        yield name, lambda name=name, python=python: last(
            [python, str(HERE / "others.py"), name, str(path), str(threads)]
        )


def measure(arguments, path):
    """All rounds, `{who: [{figure: value}]}`, and why some have none, `{who: reason}`."""
    runs, failed = {}, {}
    for number in range(arguments.rounds):
        for name, run in contestants(arguments, path):
            if name in failed:
                continue
            try:
                runs.setdefault(name, []).append(run())
            except subprocess.TimeoutExpired:
                failed[name] = f"took more than {PATIENCE} s for one round"
            except subprocess.CalledProcessError as error:
                failed[name] = reason(error)
        print(f"round {number + 1} of {path.name}", file=sys.stderr)
    return {name: found for name, found in runs.items() if found}, failed


def reason(error):
    """The last line that says something of an error; what killed it where there is none."""
    lines = [line.strip() for line in (error.stderr or b"").decode(errors="replace").splitlines()]
    said = [line for line in lines if "error" in line.lower() or "panic" in line.lower()]
    return (said or [line for line in lines if line] or [f"ended with {error.returncode}"])[-1][:200]


def medians(runs):
    median = lambda found, key: statistics.median(value[key] for value in found)
    return {name: {key: median(found, key) for key in found[0]} for name, found in runs.items()}


def short(number):
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}"


def table(title, found, failed):
    more = ["weights read GB/s", "weights MB", "peak MB", "load s"]
    print(f"\n### {title}\n\n| tok/s | {' | '.join(FIGURES + more)} |")
    print("|---|" + "---:|" * (len(FIGURES) + len(more)))
    for name, figures in found.items():
        cells = [short(figures[key]) for key in FIGURES]
        if "read GB/s" in figures:
            cells.append(f"{figures['read GB/s']:.1f} of {figures['memory GB/s']:.1f}")
            cells += [f"{figures['weights MB']:.0f}", f"{figures['peak MB']:.0f}", f"{figures['load s']:.2f}"]
        else:
            cells += [""] * len(more)
        print(f"| {name} | {' | '.join(cells)} |")
    peers = {name: figures for name, figures in found.items() if not name.startswith("shoal")}
    for name, figures in found.items():
        if peers and name.startswith("shoal"):
            for who, those in (("llama.cpp", ["llama.cpp"]), ("the best of all peers", list(peers))):
                those = [peers[one] for one in those if one in peers]
                ratios = [figures[key] / max(p[key] for p in those) for key in FIGURES] if those else []
                cells = [f"{ratio:.2f}" for ratio in ratios]
                print(f"| *{name} / {who}* | {' | '.join(cells)} |" + " |" * len(more))
    for name, why in failed.items():
        print(f"\n{name} does not run this file: {why}")
    sys.stdout.flush()


def show(arguments, title, path):
    """Measures a file and shows it, together with the rounds that a record holds of it."""
    runs, failed = measure(arguments, path)
    if arguments.record:
        record = json.loads(arguments.record.read_text()) if arguments.record.exists() else {}
        for name, found in record.get(title, {}).items():
            runs[name] = found + runs.get(name, [])
        record[title] = runs
        arguments.record.write_text(json.dumps(record))
    table(title, medians(runs), failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--node", required=True)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--isa", default="avx2", help="measure these too, but for the processor's own")
    parser.add_argument("--only", default="", help="files whose title has this in it")
    parser.add_argument("--record", type=pathlib.Path, help="keeps rounds; those in it count too")
    parser.add_argument("--candle", help="the program of node/bench/candle")
    parser.add_argument("--mistralrs", action="store_true", help="its wheel is in this Python")
    parser.add_argument("--torch", help="a Python with transformers and torch")
    arguments = parser.parse_args()
    from shapes import ensure

    wanted = lambda title: arguments.only.lower() in title.lower()
    real = {path.name.removesuffix(".gguf"): path for path in arguments.models}
    for shape, words in SHAPES.items():
        for kind in ("Q8_0", "Q4_0"):
            title = f"{shape} shape, random weights, {kind}"
            if wanted(title) and words in real:
                show(arguments, title, ensure(shape, kind, real[words], real[words].parent))
    for name, path in real.items():
        if wanted(REAL.get(name, name)):
            show(arguments, REAL.get(name, name), path)


if __name__ == "__main__":
    main()

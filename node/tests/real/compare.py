"""Holds the engine against llama.cpp on the same model file. `make test-real` runs it.

For each prompt, through the chat template: the tokens that both make of it, the distribution of the
next token (KL divergence and arg max), and the greedy answer. Beside it stand a second build of
llama.cpp, and for a small file our own arithmetic on weights and activations that nobody rounds:
what llama.cpp's own rounding does to an answer, no other engine can agree with better than that.

    compare.py --node target/debug/shoal-node --model FILE.gguf [--prompts prompts.txt] [--quant asis]
"""

import argparse
import importlib.util
import json
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "bench"))
from peers import MODULES, Peer  # noqa: E402

KL_MAX = 0.01
# How much less often we may agree with llama.cpp than arithmetic without rounding does: a tie that
# falls the other way in two prompts of fifty.
SLACK = 0.04
# Files up to here are compared without rounding too: it takes eight times their size in memory.
SMALL = 200_000_000


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max()
    return logits - np.log(np.exp(logits).sum())


def divergence(p, q):
    """KL(p || q) in nats of two rows of logits."""
    p, q = log_softmax(p), log_softmax(q)
    return float((np.exp(p) * (p - q)).sum())


def ours(arguments, prompts, folder, quant):
    """What the node makes of the prompts: one JSON line each, and the logits as f32 rows."""
    asked = folder / "prompts.txt"
    asked.write_text("".join(prompt + "\n" for prompt in prompts))
    command = [arguments.node, "logits", "--model", arguments.model, "--prompts", str(asked)]
    command += ["--out", str(folder), "--tokens", str(arguments.tokens)]
    command += ["--quant", quant] if quant else []
    command += ["--template", arguments.template] if arguments.template else []
    subprocess.run(command, check=True)
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    logits = np.fromfile(folder / "logits.f32", dtype=np.float32).reshape(len(lines), -1)
    return lines, logits


def theirs(peer, model, lines, count):
    """Greedy tokens and the first logits of a peer after each prompt."""
    peer = Peer(peer, model)
    return [peer.greedy(line["tokens"], count, set(line["ends"])) for line in lines]


def held_against(name, lines, reference, logits, answers):
    """One row of the table: means over the prompts."""
    pairs = list(zip(reference, logits))
    return {
        "what": name,
        "kl": float(np.mean([divergence(theirs[1], own) for theirs, own in pairs])),
        "argmax": float(np.mean([theirs[1].argmax() == own.argmax() for theirs, own in pairs])),
        "same": float(np.mean([theirs[0] == own for theirs, own in zip(reference, answers)])),
        "prompts": len(lines),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--node", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", default=HERE / "prompts.txt", type=pathlib.Path)
    parser.add_argument("--tokens", default=64, type=int)
    parser.add_argument("--count", default=50, type=int)
    parser.add_argument("--quant")
    parser.add_argument("--template")
    arguments = parser.parse_args()
    prompts = arguments.prompts.read_text().splitlines()[: arguments.count]
    with tempfile.TemporaryDirectory() as folder:
        lines, logits = ours(arguments, prompts, pathlib.Path(folder), arguments.quant)
    exact = None
    if pathlib.Path(arguments.model).stat().st_size < SMALL:
        with tempfile.TemporaryDirectory() as folder:
            exact = ours(arguments, prompts, pathlib.Path(folder), "none")

    # Each in a process of its own: two builds of one library do not get on in one.
    def answers(peer):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(theirs, (peer, arguments.model, lines, arguments.tokens))
        assert len(found[0][1]) == logits.shape[1], (peer, len(found[0][1]), logits.shape)
        return found

    reference = answers("llama.cpp")
    own = [line["answer"] for line in lines]
    rows = [held_against("shoal-node", lines, reference, logits, own)]
    if exact:
        answered = [line["answer"] for line in exact[0]]
        rows.append(held_against("not rounded", lines, reference, exact[1], answered))
    if importlib.util.find_spec(MODULES["ik_llama"].split(".")[0]):
        other = answers("ik_llama")
        rows.append(
            held_against("ik_llama", lines, reference, [x[1] for x in other], [x[0] for x in other])
        )
    for row in rows:
        print(json.dumps({"model": pathlib.Path(arguments.model).name, **row}))
    found, best = rows[0], rows[1] if exact else None
    if found["kl"] > KL_MAX:
        sys.exit(f"not llama.cpp's answers: mean KL {found['kl']:.4f} nats > {KL_MAX}")
    for key in ("argmax", "same") if best else ():
        if found[key] < best[key] - SLACK:
            sys.exit(f"rounding costs too much: {key} {found[key]:.2f}, without it {best[key]:.2f}")


if __name__ == "__main__":
    main()

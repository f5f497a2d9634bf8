"""Peers other than llama.cpp and its forks, each in its own process: mistral.rs (its wheel) and
transformers with torch. Prints one JSON object, as `shoal-node bench --json` does.

    others.py mistral.rs|"transformers f32"|"transformers bf16" FILE.gguf THREADS
"""

import json
import os
import pathlib
import sys
import threading
import time

STREAMS = {1: 48, 4: 24, 8: 16}
PREFILL = 256


def label(streams):
    return f"{streams} stream{'s' * (streams > 1)}"


def prompt(vocab):
    return [(i * 7919) % min(vocab, 30000) + 100 for i in range(PREFILL)]


class MistralRs:
    """mistral.rs takes only text, so the number of a prompt's tokens is the one that it reports."""

    def __init__(self, path, threads):
        os.environ["RAYON_NUM_THREADS"] = str(threads)
        from mistralrs import CompletionRequest, Runner, Which

        path = pathlib.Path(path)
        which = Which.GGUF(quantized_model_id=str(path.parent), quantized_filename=path.name)
        self.runner = Runner(which, prefix_cache_n=0, max_seqs=max(STREAMS))
        self.request = CompletionRequest

    def write(self, text, tokens):
        request = self.request(
            model="default", prompt=text, max_tokens=tokens, temperature=0.0, ignore_eos=True
        )
        return self.runner.send_completion_request(request).usage

    def prefill(self):
        words = "The cat sat on the mat and looked at the sea. " * 21
        self.write(words, 1)
        begun = time.perf_counter()
        usage = self.write(words, 1)
        return usage.prompt_tokens / (time.perf_counter() - begun)

    def decode(self, streams, steps):
        """Time for a few tokens is taken off: that of the prompt."""

        def run(tokens):
            asks = [
                threading.Thread(target=self.write, args=(f"Story {i}: the cat sat on the mat", tokens))
                for i in range(streams)
            ]
            begun = time.perf_counter()
            for ask in asks:
                ask.start()
            for ask in asks:
                ask.join()
            return time.perf_counter() - begun

        few = run(2)
        return streams * steps / (run(steps + 2) - few)


class Transformers:
    """The file's weights widened by transformers' own reader."""

    def __init__(self, path, threads, kind):
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        path = pathlib.Path(path)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=getattr(torch, kind)
        ).eval()
        self.tokens = prompt(self.model.config.get_text_config().vocab_size)

    def step(self, rows, cache=None):
        with self.torch.inference_mode():
            ids = self.torch.tensor(rows)
            return self.model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1).past_key_values

    def prefill(self):
        self.step([self.tokens])
        begun = time.perf_counter()
        self.step([self.tokens])
        return PREFILL / (time.perf_counter() - begun)

    def decode(self, streams, steps):
        cache = self.step([self.tokens[:16]] * streams)
        cache = self.step([[self.tokens[0]]] * streams, cache)
        begun = time.perf_counter()
        for step in range(steps):
            cache = self.step([[self.tokens[step]]] * streams, cache)
        return streams * steps / (time.perf_counter() - begun)


def main():
    name, path, threads = sys.argv[1:]
    if name == "mistral.rs":
        peer = MistralRs(path, int(threads))
    else:
        peer = Transformers(path, int(threads), {"f32": "float32", "bf16": "bfloat16"}[name.split()[-1]])
    found = {f"prefill {PREFILL}": peer.prefill()}
    peer.decode(1, 4)
    found.update({label(streams): peer.decode(streams, steps) for streams, steps in STREAMS.items()})
    print(json.dumps(found))


if __name__ == "__main__":
    main()

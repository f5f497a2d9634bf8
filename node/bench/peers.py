"""llama.cpp and its fork ik_llama through their C interfaces: the peers that the engine is compared with.

All are ordinary packages: `llama-cpp-python`, built here for this machine; `xllamacpp`, the same library
in a wheel, compiled for AVX2; `ik-llama-cpp-python`, the fork's wheel. Their high-level classes spend
time in Python for each token; here one call is one step.
"""

import ctypes
import importlib
import importlib.util
import os
import time

import numpy as np

MODULES = {
    "llama.cpp": "llama_cpp",
    "llama.cpp (AVX2 wheel)": "xllamacpp",
    "ik_llama": "ik_llama_cpp._ctypes_api",
}
# A level, a line, and the caller's data.
LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def installed(peer):
    """Whether the package is installed. Does not load it."""
    return importlib.util.find_spec(MODULES[peer].split(".")[0]) is not None


def module(peer):
    """The package's C bindings, or None if it is not installed."""
    if not installed(peer):
        return None
    return Wheel() if MODULES[peer] == "xllamacpp" else importlib.import_module(MODULES[peer])


class Wheel:
    """`xllamacpp` has llama.cpp in its extension module; the declarations come from `llama_cpp`."""

    def __init__(self):
        folder = importlib.util.find_spec("xllamacpp").submodule_search_locations[0]
        path = os.path.join(folder, "xllamacpp.abi3.so")
        # Its own symbols first: the declarations bring another build of the library with them.
        self.library = ctypes.CDLL(path, mode=os.RTLD_LOCAL | os.RTLD_DEEPBIND | os.RTLD_NOW)
        self.declared = importlib.import_module("llama_cpp")
        self.check()

    def __getattr__(self, name):
        declared = getattr(self.declared, name)
        if isinstance(declared, type) or not hasattr(declared, "argtypes"):
            return declared
        function = getattr(self.library, name)
        function.argtypes, function.restype = declared.argtypes, declared.restype
        return function

    def check(self):
        """Two versions' structures may differ: what is known of them has to be where it belongs."""
        params = self.llama_context_default_params()
        found = (params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max, params.type_k)
        if found != (512, 2048, 512, 1, 1) or not params.offload_kqv or params.ctx_other:
            raise RuntimeError("this xllamacpp and llama-cpp-python are of different times")


def first(library, *names):
    """The first of several names that this version of the library has."""
    for name in names:
        if hasattr(library, name):
            return getattr(library, name)
    raise AttributeError(names)


class Peer:
    """One model file in one library, with a context that `streams` sequences share.

    `settings` are fields of `llama_context_params`, by name.
    """

    def __init__(self, peer, path, threads=2, context=4096, streams=8, settings=None):
        self.library = library = module(peer)
        if library is None:
            raise RuntimeError(f"{peer} is not installed")
        library.llama_backend_init()
        # It must outlive the library's use of it. The fork's bindings leave the setter out.
        self.quiet = LOG(lambda *_: None)
        (getattr(library, "llama_log_set", None) or library._lib.llama_log_set)(self.quiet, None)
        load = first(library, "llama_model_load_from_file", "llama_load_model_from_file")
        params = library.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = load(str(path).encode(), params)
        if not self.model:
            raise RuntimeError(f"{peer} cannot load {path}")
        params = library.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, 512, 512
        params.n_threads = params.n_threads_batch = threads
        params.n_seq_max = streams
        if peer == "ik_llama" and streams > 1:
            # Its flash attention ends with a failed assertion where several sequences share a step.
            params.flash_attn = False
        if hasattr(params, "kv_unified"):
            params.kv_unified = True
        for name, value in (settings or {}).items():
            if not hasattr(params, name):
                raise RuntimeError(f"{peer} has no setting {name}")
            setattr(params, name, value)
        new = first(library, "llama_init_from_model", "llama_new_context_with_model")
        self.context = new(self.model, params)
        if not self.context:
            raise RuntimeError(f"{peer} cannot make a context for {path}")
        self.batch = library.llama_batch_init(512, 0, streams)
        if hasattr(library, "llama_vocab_n_tokens"):
            self.vocab_size = library.llama_vocab_n_tokens(library.llama_model_get_vocab(self.model))
        else:
            self.vocab_size = library.llama_n_vocab(self.model)

    def clear(self):
        """Forgets everything that was read."""
        library = self.library
        if hasattr(library, "llama_memory_clear"):
            library.llama_memory_clear(library.llama_get_memory(self.context), True)
        else:
            first(library, "llama_kv_self_clear", "llama_kv_cache_clear")(self.context)

    def step(self, rows):
        """One step over (token, position, sequence, wants logits) rows, at most 512."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for index, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = int(wanted)
        if self.library.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")

    def logits(self, row=-1):
        """A copy of the logits after one row of the last step."""
        found = self.library.llama_get_logits_ith(self.context, row)
        return np.ctypeslib.as_array(found, shape=(self.vocab_size,)).copy()

    def read(self, tokens, sequence=0):
        """Reads a prompt; the logits after its last token are there then."""
        for start in range(0, len(tokens), 512):
            chunk = tokens[start : start + 512]
            last = start + len(chunk) == len(tokens)
            rows = [
                (token, start + at, sequence, last and at + 1 == len(chunk))
                for at, token in enumerate(chunk)
            ]
            self.step(rows)

    def greedy(self, tokens, count, ends):
        """The `count` likeliest tokens after `tokens`, up to an end token, and the first logits."""
        self.clear()
        self.read(tokens)
        written, logits = [], self.logits()
        first_logits = logits
        while len(written) < count:
            token = int(logits.argmax())
            if token in ends:
                break
            written.append(token)
            self.step([(token, len(tokens) + len(written) - 1, 0, True)])
            logits = self.logits()
        return written, first_logits

    def prefill_speed(self, tokens):
        """Tokens of a prompt read in a second."""
        self.clear()
        begun = time.perf_counter()
        self.read(tokens)
        self.logits()
        return len(tokens) / (time.perf_counter() - begun)

    def decode_speed(self, streams, steps, prompt):
        """Tokens written in a second by so many streams together, after a short prompt each."""
        self.clear()
        for stream in range(streams):
            self.read(prompt, stream)
        begun = time.perf_counter()
        for step in range(steps):
            position = len(prompt) + step
            self.step([(prompt[step % len(prompt)], position, s, True) for s in range(streams)])
            self.logits()
        return streams * steps / (time.perf_counter() - begun)

"""Logits of quantized files: ours and llama.cpp's beside the exact ones, those of the same weights
read back into 32 bits. What is left is the rounding of activations, as both engines make it, to 8
bits a block before each product. Without transformers or llama-cpp-python it says so and passes.

The bound. A block of normal values of deviation 1 has its largest at a; the step is a / 127, and
rounding to it has the deviation a / 127 / sqrt(12): e = 0.0047 of the values for blocks of 32 (a is
2.1), 0.0064 for llama.cpp's blocks of 256 (a is 2.8). A product with weights that do not know of
that has the same relative error. A branch of a layer is a chain of at most three such products, the
head is one more, and the errors of the 2 L branches are independent: e sqrt(6 L + 1). Later layers
read what earlier ones left, which may double it: 2 e sqrt(6 L + 1), of the logits' deviation.

    python3 tests/interop/quantized_logits.py BUILD_FOLDER [MODEL ...]
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from llama_cpp import Llama
    from random_models import random_model
    from transformers import (
        GPT2Config,
        Gemma2Config,
        LlamaConfig,
        MistralConfig,
        Phi3Config,
        Qwen2Config,
        Qwen3Config,
    )
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from ours import QUERNEL, Ours

VOCAB, CONTEXT, LAYERS = 160, 64, 3
TOKENS = [(11 * i * i + 5 * i) % VOCAB for i in range(48)]
WIDE = dict(
    vocab_size=VOCAB,
    max_position_embeddings=CONTEXT,
    hidden_size=256,
    intermediate_size=512,
    num_hidden_layers=LAYERS,
    num_attention_heads=8,
    num_key_value_heads=2,
    bos_token_id=0,
    eos_token_id=0,
)
MODELS = {
    "llama": LlamaConfig(**WIDE),
    "mistral": MistralConfig(**WIDE, sliding_window=None),
    "qwen2": Qwen2Config(**WIDE, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**WIDE, head_dim=32),
    "phi3": Phi3Config(**WIDE, pad_token_id=0, sliding_window=None),
    "gemma2": Gemma2Config(
        **WIDE, head_dim=32, query_pre_attn_scalar=32, sliding_window=CONTEXT, pad_token_id=0
    ),
    "gpt2": GPT2Config(
        vocab_size=VOCAB,
        n_positions=CONTEXT,
        n_embd=256,
        n_layer=LAYERS,
        n_head=8,
        bos_token_id=0,
        eos_token_id=0,
    ),
}
MOST = ("Q8_0", "Q4_0", "Q4_K_M")
ALL = MOST + tuple("Q4_1 Q5_0 Q5_1 Q2_K Q3_K_M Q4_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS".split())


def quernel(*words):
    done = subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)


def ours_of(path):
    with Ours(path) as model:
        return model.logits(TOKENS, VOCAB)


def llama_cpp_of(path):
    sizes = dict(n_ctx=CONTEXT, n_batch=CONTEXT, n_ubatch=CONTEXT, type_k=0, type_v=0)
    model = Llama(str(path), **sizes, flash_attn=False, logits_all=True, verbose=False)
    model.eval(TOKENS)
    logits = np.array(model.scores[: len(TOKENS)])
    model.close()
    return logits


def off(logits, exact):
    """Relative to the deviation of the logits."""
    return float(np.sqrt(((logits - exact) ** 2).mean()) / exact.std())


def check(label, config, types, folder):
    plain = folder / "plain.gguf"
    # A product keeps the deviation, and so does a norm: Gemma adds 1 to its weights itself.
    random_model(folder / "hf", config, std=1 / 16, norm=float(label != "gemma2"))
    quernel("convert", folder / "hf", plain)
    ours_bound, their_bound = (2 * e * np.sqrt(6 * LAYERS + 1) for e in (0.0047, 0.0064))
    for name in types:
        small, back = folder / "small.gguf", folder / "back.gguf"
        quernel("quantize", plain, small, "--type", name)
        quernel("quantize", small, back, "--type", "F32")
        exact = ours_of(back)
        ours, theirs = ours_of(small), llama_cpp_of(small)
        us, them, apart = off(ours, exact), off(theirs, exact), off(ours, theirs)
        print(
            f"{label}, {name}: ours {us:.4f} off, at most {ours_bound:.4f}; llama.cpp {them:.4f}, "
            f"at most {their_bound:.4f}; apart {apart:.4f}",
            flush=True,
        )
        assert exact.std() > 0.1, "logits too small to tell anything"
        assert us <= ours_bound and them <= their_bound
        assert apart <= np.hypot(ours_bound, their_bound)
        assert us > 0, "no product was quantized"


def main():
    for label, config in MODELS.items():
        if sys.argv[2:] and label not in sys.argv[2:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            check(label, config, ALL if label == "llama" else MOST, pathlib.Path(folder))


if __name__ == "__main__":
    main()

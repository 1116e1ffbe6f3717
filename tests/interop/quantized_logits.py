"""Logits of quantized files: ours and llama.cpp's beside the exact ones, those of the same weights
read back into 32 bits. What is left is the rounding of activations, as both engines make it, to 8
bits a block before each product. Without transformers or llama-cpp-python it says so and passes.

The bound. A block of normal values of deviation 1 has its largest at a; the step is a / 127, and
rounding to it has the deviation a / 127 / sqrt(12): e = 0.0047 of the values for blocks of 32 (a is
2.1), 0.0064 for llama.cpp's blocks of 256 (a is 2.8). A product with weights that do not know of
that has the same relative error. A branch of a layer is a chain of at most three such products, the
head is one more, and the errors of the 2 L branches are independent: e sqrt(6 L + 1). Later layers
read what earlier ones left, which may double it: 2 e sqrt(6 L + 1), of the logits' deviation.

In a mixture of experts the router is one product more: its logits have a deviation of 1 here, so an
error of theirs is as large a relative error of an expert's weight: 2 e sqrt(8 L + 1). That holds
where rounding cannot change the choice: in models that use all their experts, and, where some are
chosen, for tokens by themselves whose last chosen and first not chosen logits are further apart, in
every layer, than four deviations of the error of a difference.

    python3 tests/interop/quantized_logits.py BUILD_FOLDER [MODEL ...]
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from llama_cpp import Llama
    from random_models import random_model
    from transformers import (
        AutoModelForCausalLM,
        GPT2Config,
        Gemma2Config,
        LlamaConfig,
        MistralConfig,
        MixtralConfig,
        Phi3Config,
        Qwen2Config,
        Qwen2MoeConfig,
        Qwen3Config,
        Qwen3MoeConfig,
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
EXPERTS = 4
for used in (EXPERTS, 2):
    label = "" if used == EXPERTS else f", {used} of {EXPERTS}"
    some = dict(num_experts=EXPERTS, num_experts_per_tok=used, moe_intermediate_size=256)
    MODELS |= {
        f"mixtral{label}": MixtralConfig(
            **WIDE, num_local_experts=EXPERTS, num_experts_per_tok=used
        ),
        f"qwen2moe{label}": Qwen2MoeConfig(**WIDE, **some, shared_expert_intermediate_size=512),
        f"qwen3moe{label}": Qwen3MoeConfig(**WIDE, **some, head_dim=32, norm_topk_prob=True),
    }
MOST = ("Q8_0", "Q4_0", "Q4_K_M")
ALL = MOST + tuple("Q4_1 Q5_0 Q5_1 Q2_K Q3_K_M Q4_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS".split())


def quernel(*words):
    done = subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)


def ours_of(path, sequences):
    with Ours(path) as model:
        return np.concatenate([model.logits(tokens, VOCAB) for tokens in sequences])


def llama_cpp_of(path, sequences):
    sizes = dict(n_ctx=CONTEXT, n_batch=CONTEXT, n_ubatch=CONTEXT, type_k=0, type_v=0)
    model = Llama(str(path), **sizes, flash_attn=False, logits_all=True, verbose=False)
    logits = []
    for tokens in sequences:
        model.reset()
        model.eval(tokens)
        logits.append(np.array(model.scores[: len(tokens)]))
    model.close()
    return np.concatenate(logits)


def settled(path, used, apart, folder):
    """Tokens whose choice of experts, each by itself, the given error of a logit cannot change."""
    quernel("convert", path, folder / "back", "--quiet")
    model = AutoModelForCausalLM.from_pretrained(folder / "back", dtype=torch.float32).eval()
    with torch.no_grad():
        ids = torch.arange(VOCAB)[:, None]
        layers = model(ids, output_router_logits=True).router_logits
    sure = np.ones(VOCAB, bool)
    for logits in layers:
        logits = logits.reshape(VOCAB, -1).numpy()
        sorted_logits = np.sort(logits, axis=1)[:, ::-1]
        gap = sorted_logits[:, used - 1] - sorted_logits[:, used]
        sure &= gap > 4 * np.sqrt(2) * apart * logits.std()
    return [[int(t)] for t in np.flatnonzero(sure)]


def off(logits, exact):
    """Relative to the deviation of the logits."""
    return float(np.sqrt(((logits - exact) ** 2).mean()) / exact.std())


def check(label, config, types, folder):
    plain = folder / "plain.gguf"
    used = getattr(config, "num_experts_per_tok", 0)
    # A product keeps the deviation, and so does a norm: Gemma adds 1 to its weights itself.
    random_model(folder / "hf", config, std=1 / 16, norm=float(label != "gemma2"))
    quernel("convert", folder / "hf", plain)
    products = 2 * (4 if used else 3) * LAYERS + 1
    ours_bound, their_bound = (2 * e * np.sqrt(products) for e in (0.0047, 0.0064))
    for name in types:
        small, back = folder / "small.gguf", folder / "back.gguf"
        quernel("quantize", plain, small, "--type", name)
        quernel("quantize", small, back, "--type", "F32")
        texts = [TOKENS]
        if 0 < used < EXPERTS:
            texts = settled(back, used, their_bound, folder)
            assert len(texts) >= 5, "too few tokens are sure of their experts"
        exact = ours_of(back, texts)
        ours, theirs = ours_of(small, texts), llama_cpp_of(small, texts)
        us, them, apart = off(ours, exact), off(theirs, exact), off(ours, theirs)
        print(
            f"{label}, {name}: ours {us:.4f} off, at most {ours_bound:.4f}; llama.cpp {them:.4f}, "
            f"at most {their_bound:.4f}; apart {apart:.4f}; {sum(map(len, texts))} rows",
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

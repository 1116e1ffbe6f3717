"""Model folders both ways: what `quernel train` writes, transformers loads, with logits within 1e-4
of ours; random models that transformers saves, whole or in shards, we load; what we save of them,
transformers loads again with the same logits; and a prompt fed in pieces through the cache gives
the bits of the whole sequence. Needs torch, transformers and numpy; without them it says so and
passes.

    python3 tests/interop/transformers_hf.py BUILD_FOLDER
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        GPT2Config,
        LlamaConfig,
        MistralConfig,
        Qwen2Config,
        Qwen3Config,
    )
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from ours import QUERNEL, Ours

PIECES = [5, 1, 1, 9, 1, 7]


def theirs_of(folder, tokens):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def agree(label, ours, theirs):
    worst = float(np.abs(ours - theirs).max())
    print(f"{label}: largest difference of a logit {worst:.2e}")
    assert np.abs(theirs).max() > 0.1, f"{label}: logits too small to tell anything"
    assert worst <= 1e-4, label


def compare(label, folder, tokens):
    theirs = theirs_of(folder, tokens)
    vocab = theirs.shape[1]
    with Ours(folder) as model, tempfile.TemporaryDirectory() as saved:
        ours = model.logits(tokens, vocab)
        agree(label, ours, theirs)
        if sum(PIECES) <= len(tokens):
            rows = model.fed(tokens, vocab, PIECES)
            ends = np.cumsum(PIECES) - 1
            assert (rows == ours[ends]).all(), f"{label}: the cache changes bits"
        model.save(saved)
        agree(f"{label}, saved by us", ours, theirs_of(saved, tokens))


def trained(folder, *flags):
    text = (
        "".join(
            f"the {a} sat on the {b}; "
            for a in ("cat", "dog", "hen")
            for b in ("mat", "log", "hat")
        )
        * 40
    )
    source = pathlib.Path(folder, "text.txt")
    source.write_text(text)
    out = pathlib.Path(folder, "model")
    subprocess.run(
        [
            QUERNEL,
            "train",
            "--text",
            source,
            "--steps",
            "12",
            "--batch",
            "4",
            "--context",
            "32",
            "--layers",
            "2",
            "--heads",
            "4",
            "--embed",
            "32",
            "--quiet",
            "--out",
            out,
            *flags,
        ],
        check=True,
    )
    return out, text


def random_model(folder, config, **save):
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config)
    for name, p in model.named_parameters():
        torch.nn.init.normal_(p, mean=float("norm" in name or "ln_" in name), std=0.1)
    model.to(save.pop("dtype", torch.float32)).save_pretrained(folder, **save)
    return folder


TRAINED = {
    "gpt2, characters": ("--tokenizer", "char", "--arch", "gpt2"),
    "gpt2 without biases, bytes": ("--tokenizer", "bytes", "--arch", "gpt2", "--no-bias"),
    "llama, BPE, grouped heads": ("--tokenizer", "bpe:300", "--arch", "llama", "--kv-heads", "2"),
    "mistral, window": ("--tokenizer", "char", "--arch", "mistral", "--window", "7"),
    "qwen2, grouped heads": ("--tokenizer", "bytes", "--arch", "qwen2", "--kv-heads", "1"),
    "qwen3, heads of 12": ("--tokenizer", "char", "--arch", "qwen3", "--head-size", "12"),
    "llama, untied": ("--tokenizer", "char", "--arch", "llama", "--untied"),
}

for label, flags in TRAINED.items():
    with tempfile.TemporaryDirectory() as folder:
        out, text = trained(folder, *flags)
        tokenizer = AutoTokenizer.from_pretrained(out)
        tokens = tokenizer(text[:80])["input_ids"][:32]
        assert tokenizer.decode(tokens) == text[: len(tokenizer.decode(tokens))], label
        compare(label, out, tokens)

TOKENS = [(7 * i * i + 3 * i) % 90 for i in range(24)]
GPT2 = dict(
    vocab_size=90,
    n_positions=32,
    n_embd=48,
    n_layer=3,
    n_head=4,
    bos_token_id=0,
    eos_token_id=0,
)
LLAMA = dict(
    vocab_size=90,
    max_position_embeddings=32,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=2,
    bos_token_id=0,
    eos_token_id=0,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
YARN = dict(
    rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=8, beta_fast=2
)
QWEN_WINDOW = dict(use_sliding_window=True, sliding_window=6)
ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]
RANDOM = {
    "gpt2": (GPT2Config(**GPT2), {}),
    "gpt2, untied, exact GELU, wide": (
        GPT2Config(**GPT2, tie_word_embeddings=False, activation_function="gelu", n_inner=72),
        {},
    ),
    "llama 2": (LlamaConfig(**LLAMA), {}),
    "llama 2 with all biases": (LlamaConfig(**LLAMA, attention_bias=True, mlp_bias=True), {}),
    "llama 3, scaled, tied, bf16": (
        LlamaConfig(**LLAMA, rope_parameters=LLAMA3, tie_word_embeddings=True),
        dict(dtype=torch.bfloat16),
    ),
    "llama, linear scaling, f16": (
        LlamaConfig(**LLAMA, rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=1e4)),
        dict(dtype=torch.float16),
    ),
    "llama, yarn": (LlamaConfig(**LLAMA, rope_parameters=YARN), {}),
    "llama, yarn, ramp inside pairs": (
        LlamaConfig(**LLAMA, rope_parameters=dict(**YARN, truncate=False, attention_factor=1.3)),
        {},
    ),
    "llama, heads of 20, shards": (LlamaConfig(**LLAMA, head_dim=20), dict(max_shard_size="30KB")),
    "mistral, window 5": (MistralConfig(**LLAMA, sliding_window=5), {}),
    "mistral, window 5, heads of 10, shards": (
        MistralConfig(**LLAMA, sliding_window=5, head_dim=10),
        dict(max_shard_size="20KB"),
    ),
    "mistral, no window": (MistralConfig(**LLAMA, sliding_window=None), {}),
    "qwen2": (Qwen2Config(**LLAMA, tie_word_embeddings=True), {}),
    "qwen2, window from layer 1": (Qwen2Config(**LLAMA, **QWEN_WINDOW, max_window_layers=1), {}),
    "qwen2, every second layer full": (
        Qwen2Config(**LLAMA, **QWEN_WINDOW, layer_types=ALTERNATING),
        {},
    ),
    "qwen3, heads of 24": (Qwen3Config(**LLAMA, head_dim=24), {}),
    "qwen3, heads of 12, biases, window, bf16 shards": (
        Qwen3Config(**LLAMA, head_dim=12, attention_bias=True, **QWEN_WINDOW, max_window_layers=2),
        dict(dtype=torch.bfloat16, max_shard_size="20KB"),
    ),
}


def tells(label, folder):
    """Without its scaling or window a model must give other logits, or the test sees nothing."""
    path = pathlib.Path(folder, "config.json")
    config = json.loads(path.read_text())
    rope, window = config.get("rope_parameters") or {}, config.get("sliding_window")
    if rope.get("rope_type", "default") == "default" and not window:
        return
    with tempfile.TemporaryDirectory() as twin:
        shutil.copytree(folder, twin, dirs_exist_ok=True)
        config["rope_parameters"] = dict(rope_type="default", rope_theta=rope["rope_theta"])
        config |= dict(sliding_window=None, use_sliding_window=False)
        pathlib.Path(twin, "config.json").write_text(json.dumps(config))
        with Ours(folder) as model, Ours(twin) as plain:
            change = np.abs(model.logits(TOKENS, 90) - plain.logits(TOKENS, 90)).max()
    print(f"{label}: makes a difference of {change:.1e}")
    assert change > 2e-3, label


for label, (config, save) in RANDOM.items():
    with tempfile.TemporaryDirectory() as folder:
        random_model(folder, config, **save)
        files = sorted(p.name for p in pathlib.Path(folder).glob("*.safetensors"))
        assert (len(files) > 1) == ("shard" in label), files
        tells(label, folder)
        compare("random " + label, folder, TOKENS)
print("all agree")

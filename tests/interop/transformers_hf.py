"""Model folders both ways: what `quernel train` writes, transformers loads, with logits within 1e-4
of ours; and random models that transformers saves, we load. Needs torch, transformers and numpy;
without them it says so and passes.

    python3 tests/interop/transformers_hf.py BUILD_FOLDER
"""

import ctypes
import os
import pathlib
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
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
    )
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

BUILD = pathlib.Path(sys.argv[1]).resolve()
QUERNEL = BUILD / "quernel"
LIB = ctypes.CDLL(str(BUILD / "libquernel.so"))
LIB.qn_last_error.restype = ctypes.c_char_p


def must(status):
    if status != 0:
        raise SystemExit(f"status {status}: {LIB.qn_last_error().decode()}")


def our_logits(folder, tokens, vocab):
    device, model = ctypes.c_void_p(), ctypes.c_void_p()
    must(LIB.qn_device_open(None, ctypes.byref(device)))
    must(LIB.qn_model_load(device, str(folder).encode(), ctypes.byref(model)))
    ids = (ctypes.c_int32 * len(tokens))(*tokens)
    out = np.zeros((len(tokens), vocab), np.float32)
    must(
        LIB.qn_model_logits(
            model, ids, ctypes.c_size_t(len(tokens)), out.ctypes.data_as(ctypes.c_void_p)
        )
    )
    LIB.qn_model_destroy(ctypes.byref(model))
    LIB.qn_device_close(ctypes.byref(device))
    return out


def compare(label, folder, tokens):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = model(torch.tensor([tokens])).logits[0].numpy()
    ours = our_logits(folder, tokens, theirs.shape[1])
    worst = float(np.abs(ours - theirs).max())
    print(f"{label}: largest difference of a logit {worst:.2e}")
    assert worst <= 1e-4, label


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


def random_model(folder, model):
    torch.manual_seed(3)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    model.save_pretrained(folder)
    return folder


TRAINED = {
    "gpt2, characters": ("--tokenizer", "char", "--arch", "gpt2"),
    "gpt2 without biases, bytes": ("--tokenizer", "bytes", "--arch", "gpt2", "--no-bias"),
    "llama, BPE, grouped heads": ("--tokenizer", "bpe:300", "--arch", "llama", "--kv-heads", "2"),
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
with tempfile.TemporaryDirectory() as folder:
    compare(
        "random gpt2",
        random_model(
            folder,
            GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=90,
                    n_positions=32,
                    n_embd=48,
                    n_layer=3,
                    n_head=4,
                    bos_token_id=0,
                    eos_token_id=0,
                )
            ),
        ),
        TOKENS,
    )
with tempfile.TemporaryDirectory() as folder:
    compare(
        "random llama",
        random_model(
            folder,
            LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=90,
                    max_position_embeddings=32,
                    hidden_size=48,
                    intermediate_size=80,
                    num_hidden_layers=3,
                    num_attention_heads=6,
                    num_key_value_heads=2,
                    attention_bias=True,
                    bos_token_id=0,
                    eos_token_id=0,
                )
            ),
        ),
        TOKENS,
    )
print("all agree")

"""LoRA adapters both ways: what `quernel finetune --lora-rank` writes, PEFT loads beside the same
base, with logits within 1e-4 of ours; the folder of --merge, transformers loads, with the logits of
PEFT; and adapters that PEFT saves, we load. Needs torch, transformers and peft; without them it
says so and passes.

    python3 tests/interop/peft_lora.py BUILD_FOLDER
"""

import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from ours import QUERNEL, Ours

TEXT = "".join(
    f"the {a} sat on the {b} and saw {c}; "
    for a in ("cat", "dog", "hen", "fox")
    for b in ("mat", "log", "hat")
    for c in ("me", "you", "them")
)
TOKENS = [(7 * i * i + 3 * i) % 20 for i in range(24)]


def quernel(*words):
    subprocess.run([QUERNEL, *map(str, words)], check=True)


def logits_of(model):
    with torch.no_grad():
        return model.eval()(torch.tensor([TOKENS])).logits[0].numpy()


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def agree(label, ours, theirs, base):
    worst, moved = float(np.abs(ours - theirs).max()), float(np.abs(theirs - base).max())
    print(f"{label}: differs by {worst:.2e}; the adapter moves logits by {moved:.2e}")
    assert moved > 1e-2, f"{label}: the adapter does nothing"
    assert worst <= 1e-4, label


def ours_with(base, adapter, vocab):
    with Ours(base, adapter) as model:
        return model.logits(TOKENS, vocab)


def ours_to_peft(label, folder, base, flags):
    text, adapter, merged = folder / "text.txt", folder / "adapter", folder / "merged"
    run = ("finetune", "--model", base, "--text", text, "--context", 32, "--steps", 8, "--quiet")
    run += ("--lr", "2e-2", "--warmup", 0, *flags)
    quernel(*run, "--out", adapter)
    quernel(*run, "--out", merged, "--merge")
    plain = logits_of(load(base))
    theirs = logits_of(PeftModel.from_pretrained(load(base), adapter))
    agree(f"{label}, in PEFT", ours_with(base, adapter, plain.shape[1]), theirs, plain)
    agree(f"{label}, merged", logits_of(load(merged)), theirs, plain)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        same = (merged / "adapter" / name).read_bytes() == (adapter / name).read_bytes()
        assert same, f"{label}: {name} of --merge differs"
    if "all-linear" not in flags:
        named = json.loads((adapter / "adapter_config.json").read_text())["target_modules"]
        print(f"{label}: targets {named}")


def peft_to_ours(label, folder, base, config):
    plain, out = logits_of(load(base)), folder / "theirs"
    torch.manual_seed(5)
    model = get_peft_model(load(base), config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1)
    theirs = logits_of(model)
    model.save_pretrained(out)
    agree(f"{label}, from PEFT", ours_with(base, out, plain.shape[1]), theirs, plain)


LLAMA_FLAGS = ("--lora-rank", 4, "--lora-alpha", 10, "--lora-targets", "q_proj,v_proj,down_proj")
BASES = {
    "gpt2": (
        ("--arch", "gpt2"),
        [
            ("--lora-rank", 3, "--lora-targets", "all-linear"),
            ("--lora-rank", 2, "--lora-targets", "c_attn,mlp.c_proj", "--lora-dropout", 0.2),
        ],
        [
            LoraConfig(r=3, lora_alpha=7, target_modules="all-linear", task_type="CAUSAL_LM"),
            LoraConfig(r=2, target_modules=["attn.c_proj"], use_rslora=True, fan_in_fan_out=True),
        ],
    ),
    "llama": (
        ("--arch", "llama", "--kv-heads", 2),
        [LLAMA_FLAGS, ("--lora-rank", 64, "--lora-targets", "all-linear")],
        [
            LoraConfig(r=4, target_modules="all-linear"),
            LoraConfig(r=5, lora_alpha=9, target_modules=["k_proj", "mlp.up_proj"]),
        ],
    ),
    "qwen3": (("--arch", "qwen3", "--head-size", 12, "--window", 9), [LLAMA_FLAGS], []),
}
SIZES = ("--layers", 2, "--heads", 4, "--embed", 32, "--context", 48)
for label, (flags, ours, theirs) in BASES.items():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "text.txt").write_text(TEXT * 4)
        run = ("train", "--text", folder / "text.txt", *SIZES, "--steps", 30, "--batch", 4)
        quernel(*run, "--quiet", "--out", folder / "base", *flags)
        for i, flags in enumerate(ours):
            (folder / f"ours{i}").mkdir()
            (folder / f"ours{i}" / "text.txt").write_text(TEXT[::-1] * 4)
            ours_to_peft(f"{label} {i}", folder / f"ours{i}", folder / "base", flags)
        for i, config in enumerate(theirs):
            (folder / f"theirs{i}").mkdir()
            peft_to_ours(f"{label} {i}", folder / f"theirs{i}", folder / "base", config)
print("all agree")

"""quernel finetune, end to end: on a real small model the validation loss falls by a stated amount,
all weights and adapters alike; a run stopped and resumed leaves the same bits; checkpoints of
adapters hold nothing of the weights and refuse other ones; damaged adapters are refused.

    python3 tests/model/finetune.py BUILD_FOLDER [DATA_FOLDER]
"""

import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

QUERNEL = pathlib.Path(sys.argv[1]).resolve() / "quernel"
DATA = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
TEXT = "".join(
    f"{a} {b} the {c}, and the {c} {d}. "
    for a in ("Tom", "Lily", "Ben", "Sue", "Max")
    for b in ("saw", "met", "fed", "hid")
    for c in ("cat", "bird", "frog", "bear")
    for d in ("sang", "ran", "slept")
)


def run(*words):
    return subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True)


def quernel(*words):
    done = run(*words)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def refused(part, *words):
    done = run(*words)
    assert done.returncode in (64, 65), (words, done.returncode, done.stderr)
    assert part in done.stderr, (part, done.stderr)


def tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    names = json.loads(data[8 : 8 + length])
    return {name for name in names if name != "__metadata__"}


def loss_of(model, text, *flags):
    return json.loads(quernel("eval", "--model", model, "--text", text, "--json", *flags))["loss"]


def learns(folder, base, text):
    """The last tenth of the text is held out; its loss falls as far as that of all of it."""
    start = loss_of(base, text)
    run = ("finetune", "--model", base, "--text", text, "--context", 64, "--quiet", "--steps", 40)
    quernel(*run, "--out", folder / "full", "--lr", "1e-3")
    full = loss_of(folder / "full", text)
    lora = ("--lora-rank", 8, "--lr", "5e-3", "--lora-alpha", 16)
    quernel(*run, *lora, "--out", folder / "lora")
    beside = loss_of(base, text, "--adapter", folder / "lora")
    quernel(*run, *lora, "--out", folder / "merged", "--merge")
    merged = loss_of(folder / "merged", text)
    for made in ("full", "lora", "merged"):
        name = "tokenizer_config.json"
        assert (base / name).read_bytes() == (folder / made / name).read_bytes(), made
    print(f"loss {start:.3f}; all weights {full:.3f}; adapters {beside:.3f}, merged {merged:.3f}")
    assert full < start - 1.5 and beside < start - 1.5
    assert abs(beside - merged) < 1e-6
    steps = [json.loads(l) for l in (folder / "lora" / "metrics.jsonl").read_text().splitlines()]
    held_out = [s["val_loss"] for s in steps if s.get("val_loss") is not None]
    assert held_out[-1] < start - 1.5, held_out
    said = quernel("generate", "--model", base, "--adapter", folder / "lora", "--prompt", "Sue met")
    assert said.startswith("Sue met the"), said


def answers(folder, base):
    """JSON Lines of questions and answers: the loss of held-out answers falls."""
    lines = folder / "lines.jsonl"
    colours = ("red", "blue", "green", "black")
    things = ("ball", "hat", "cup", "boat", "kite", "shoe", "door", "bell")
    with lines.open("w") as out:
        for i in range(160):
            thing, colour = things[i % 8], colours[i * 7 % 4]
            prompt = f"The {thing} is {colour}. What is {colour}?"
            line = {"prompt": prompt, "completion": f" It is the {thing}."}
            out.write(json.dumps(line) + "\n")
    run = ("finetune", "--model", base, "--data", lines, "--context", 128, "--quiet")
    run += ("--lora-rank", 8, "--lr", "5e-3", "--steps", 30, "--eval-every", 1)
    quernel(*run, "--out", folder / "answers", "--sample-tokens", 0)
    rows = (folder / "answers" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(row).get("val_loss") for row in rows]
    print(f"held-out answers: {losses[0]:.3f} after a step, {losses[-1]:.3f} after {len(losses)}")
    assert losses[-1] < losses[0] - 1.0


def same_bits(folder, base, text):
    run = (
        "finetune",
        "--model",
        base,
        "--text",
        text,
        "--context",
        64,
        "--quiet",
        "--eval-every",
        0,
    )
    run += ("--schedule", "constant", "--batch", 4, "--micro-batch", 2)
    kinds = {"a": ("--lora-rank", 4, "--lora-dropout", 0.1), "w": ()}
    for kind, flags in kinds.items():
        file = "adapter_model.safetensors" if flags else "model.safetensors"
        quernel(*run, *flags, "--steps", 8, "--out", folder / f"{kind}1")
        quernel(*run, *flags, "--steps", 5, "--out", folder / f"{kind}2")
        quernel(*run, *flags, "--steps", 8, "--out", folder / f"{kind}2", "--resume")
        one, two = ((folder / f"{kind}{i}" / file).read_bytes() for i in (1, 2))
        assert one == two, f"{kind}: resumed, {file} has other bits"
    kept = (folder / "a1" / "adapter_model.safetensors").read_bytes()
    step = folder / "a1" / "step-00000008"
    names = tensors(step / "weights.safetensors")
    assert names and all(".lora_A." in n or ".lora_B." in n for n in names), names
    moments = tensors(step / "optimizer.safetensors")
    assert moments == {f"{m}.{n}" for n in names for m in "mv"}
    refused("holds an adapter, not a model", "convert", step, folder / "no")
    # other weights, the same shapes
    other = folder / "other"
    shutil.copytree(base, other, ignore=shutil.ignore_patterns("step-*"))
    data = bytearray((other / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (other / "model.safetensors").write_bytes(data)
    again = ("--steps", 9, "--out", folder / "a1", "--resume", *kinds["a"])
    refused("made for weights with hash", *run[:2], other, *run[3:], *again)
    moved = base.rename(folder / "moved")  # the same weights elsewhere
    quernel(*run[:2], moved, *run[3:], *again)
    # what is kept and what is made again, on the device or not, changes no bit
    spare = ("--recompute", "block", "--offload", "optimizer", "--out", folder / "a3")
    quernel(*run[:2], moved, *run[3:], *kinds["a"], "--steps", 8, *spare)
    assert (folder / "a3" / "adapter_model.safetensors").read_bytes() == kept


def memory(base, text):
    plan = ("plan", "--model", base, "--text", text, "--context", 64, "--batch", 4, "--json")
    full = json.loads(quernel(*plan))
    lora = json.loads(quernel(*plan, "--lora-rank", 2, "--lora-targets", "q_proj,v_proj"))
    assert full["trained_parameters"] == full["parameters"] == lora["parameters"]
    assert 0 < lora["trained_parameters"] < 0.1 * lora["parameters"]
    saved = full["total_bytes"] - lora["total_bytes"]
    print(f"plan: {full['total_bytes']} bytes, with adapters {lora['total_bytes']}")
    # gradients and two moments of what is not trained are not there
    assert saved > 0.9 * 12 * (full["parameters"] - lora["trained_parameters"])


def damaged(folder, base, text):
    config = json.loads((folder / "lora" / "adapter_config.json").read_text())
    bad = folder / "bad"

    def with_config(**changes):
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(folder / "lora", bad, ignore=shutil.ignore_patterns("step-*"))
        (bad / "adapter_config.json").write_text(json.dumps({**config, **changes}))
        return ("eval", "--model", base, "--text", text, "--adapter", bad)

    refused("rank 5", *with_config(r=5))
    refused("outside [1, 65536]", *with_config(r=10**12))
    refused("DORA", *with_config(peft_type="DORA"))
    refused('"use_dora" is not supported', *with_config(use_dora=True))
    refused('"rank_pattern" is not supported', *with_config(rank_pattern={"q_proj": 2}))
    refused('bias "all"', *with_config(bias="all"))
    refused('"c_attn" is no linear layer of llama', *with_config(target_modules=["c_attn"]))
    refused("target_modules", *with_config(target_modules=None))
    refused("is no linear layer", *with_config(target_modules=".*(q|v)_proj"))
    refused("only all layers alike", *with_config(target_modules=["layers.0.self_attn.q_proj"]))
    refused("tensors, of which", *with_config(target_modules=["q_proj", "v_proj"]))
    words = with_config()
    (bad / "adapter_model.safetensors").write_bytes(b"\xff" * 64)
    refused("adapter_model.safetensors", *words)
    (bad / "adapter_config.json").unlink()
    refused("not an adapter's folder", *words)
    run = ("finetune", "--model", base, "--text", text, "--out", folder / "no", "--quiet")
    refused("there are q_proj, k_proj", *run, "--lora-rank", 4, "--lora-targets", "q_prj")
    refused("lower --context", *run, "--context", 600)
    refused("--model is missing", "finetune", "--text", text, "--out", folder / "no")
    refused("give --model", "train", "--text", text, "--out", folder / "no", "--lora-rank", 2)


with tempfile.TemporaryDirectory() as name:
    here = pathlib.Path(name)
    text = here / "text.txt"
    text.write_text(TEXT)
    base = here / "base"
    if DATA and (DATA / "stories260K.bin").is_file():
        source = ("convert", DATA / "stories260K.bin", base, "--tokenizer", DATA / "tok512.bin")
        quernel(*source)
        pairs = ("--model", source[1], "--tokenizer", source[4], "--text", text, "--lora-rank", 2)
        refused("turns pairs", "finetune", *pairs, "--out", here / "no", "--quiet")
    else:
        print("no real model here: one is trained on another text")
        (here / "other.txt").write_text(TEXT.upper()[::-1] + TEXT)
        train = ("train", "--text", here / "other.txt", "--arch", "llama", "--steps", 3)
        quernel(*train, "--quiet", "--out", base, "--layers", 2)
    template = base / "tokenizer_config.json"  # goes along, whatever is in it
    keys = json.loads(template.read_text()) if template.is_file() else {}
    template.write_text(json.dumps({**keys, "chat_template": "{{ messages }}"}))
    memory(base, text)
    learns(here, base, text)
    answers(here, base)
    damaged(here, base, text)
    same_bits(here, base, text)
print("all agree")

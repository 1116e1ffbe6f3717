"""TensorBoard's own reader finds every figure of metrics.jsonl in the event files, each step once,
after a run that was stopped and resumed from an older checkpoint.

    python3 tests/interop/tensorboard_events.py BUILD_FOLDER
"""

import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.backend.event_processing import plugin_event_accumulator
    from tensorboard.util.tensor_util import make_ndarray
except ImportError:
    print("skipped: the Python package tensorboard is not there")
    sys.exit(77)

TAGS = {
    "loss": "loss/train",
    "val_loss": "loss/validation",
    "lr": "optimizer/learning_rate",
    "grad_norm": "optimizer/grad_norm",
    "loss_scale": "optimizer/loss_scale",
    "skipped": "optimizer/skipped",
    "seconds": "speed/step_seconds",
    "tokens_per_s": "speed/tokens_per_s",
    "mfu": "speed/mfu",
    "percent_of_peak": "speed/percent_of_peak",
    "device_bytes": "memory/device_bytes",
}

build = pathlib.Path(sys.argv[1])
folder = tempfile.TemporaryDirectory()
root = pathlib.Path(folder.name)
out = root / "out"
text = root / "text.txt"
words = ["mill", "grain", "stone", "wheel", "flour", "water", "wind", "bread"]
text.write_text("".join(random.Random(1).choice(words) + " " for _ in range(3000)))


def train(steps, *more):
    command = [build / "quernel", "train", "--text", text, "--tokenizer", "char", "--layers", "1"]
    command += ["--heads", "2", "--embed", "32", "--context", "32", "--batch", "4", "--quiet"]
    command += ["--eval-every", "4", "--save-every", "5", "--schedule", "constant"]
    command += ["--steps", str(steps), "--out", out, *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def narrow(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def check():
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1)), "steps"
    events = EventAccumulator(str(out), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    known = set(events.Tags()["scalars"])
    assert known <= set(TAGS.values()), known
    for line in lines:
        line["skipped"] = float("skipped" in line)
    for key, tag in TAGS.items():
        want = [(line["step"], narrow(line[key])) for line in lines if line.get(key) is not None]
        got = [(e.step, e.value) for e in events.Scalars(tag)] if tag in known else []
        assert got == want, f"{key}: {got} is not {want}"
        assert all(math.isfinite(value) for _, value in got)
    page = plugin_event_accumulator.EventAccumulator(str(out), {"tensors": 0})
    page.Reload()  # what the page is made from: curves are tensors of rank 0
    for key, tag in TAGS.items():
        want = [(line["step"], narrow(line[key])) for line in lines if line.get(key) is not None]
        got = (
            [(e.step, make_ndarray(e.tensor_proto).item()) for e in page.Tensors(tag)]
            if want
            else []
        )
        assert got == want, f"{key}: {got} is not {want}"
    return lines, page


def texts(events, tag):
    return [(e.step, e.tensor_proto.string_val[0].decode()) for e in events.Tensors(tag)]


train(8)
lines, events = check()
assert len(lines) == 8 and [line["step"] for line in lines if "val_loss" in line] == [4, 8]
(out / "step-00000008" / "MANIFEST.json").unlink()  # as if the run had been killed before it
train(12, "--resume")
lines, events = check()
assert len(lines) == 12 and len(list(out.glob("*tfevents*"))) == 2
table = texts(events, "configuration")
assert [step for step, _ in table] == [0, 5], table
assert "| constant |" in table[0][1] and "| key | value |\n|---|---|\n" in table[0][1], table
assert "| name |" in texts(events, "device")[0][1]
samples = [(line["step"], line["sample"]) for line in lines if "sample" in line]
assert [step for step, _ in samples] == [4, 8, 12], samples
want = [(step, "    " + text.replace("\n", "\n    ")) for step, text in samples]
assert texts(events, "sample") == want, texts(events, "sample")
train(3, "--no-tensorboard", "--out", root / "without")
assert not list((root / "without").glob("*tfevents*"))
train(6)  # another run in the same folder: what was there is void
lines, events = check()
assert len(lines) == 6
print(f"{len(TAGS)} curves, configuration, device and samples read back by TensorBoard")

"""nanoGPT's CPU setting for 1000 steps in f32, bf16, f16, and bf16 throughout (moments and weights,
too): validation losses within 0.02 of f32's.

    python3 tests/model/precision_curves.py BUILD_FOLDER
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

build = pathlib.Path(sys.argv[1])
here = pathlib.Path(__file__).resolve().parent
data = pathlib.Path(os.environ.get("QN_TEST_DATA") or here.parent.parent.parent / "shared" / "data")
text = data / "tinyshakespeare.txt"
if not text.exists():
    print(f"skipped: {text} is not here (set QN_TEST_DATA)")
    sys.exit(77)

FLAGS = (
    "--tokenizer char --arch gpt2 --layers 4 --heads 4 --embed 128 --context 64 --batch 12 "
    "--steps 1000 --lr 1e-3 --min-lr 1e-4 --warmup 100 --beta2 0.99 --weight-decay 0.1 "
    "--grad-clip 1 --no-bias --sample-tokens 0 --eval-every 250 --no-tensorboard --json"
).split()
RUNS = {
    "f32": "--precision f32",
    "bf16": "--precision bf16",
    "f16": "--precision f16",
    "bf16 throughout": "--precision bf16 --moments bf16 --master none",
}

curves = {}
for name, flags in RUNS.items():
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder, "model")
        command = [build / "quernel", "train", "--text", text, *FLAGS, *flags.split()]
        subprocess.run(
            [*command, "--out", model],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        rows = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    curves[name] = [row["val_loss"] for row in rows if row.get("val_loss") is not None]
    print(f"{name}: {' '.join(f'{loss:.4f}' for loss in curves[name])}", flush=True)
    assert len(curves[name]) == 4, "a validation is missing"
for name, curve in curves.items():
    worst = max(abs(a - b) for a, b in zip(curve, curves["f32"]))
    print(f"{name}: at most {worst:.4f} from f32; at the end {curve[-1] - curves['f32'][-1]:+.4f}")
    assert abs(curve[-1] - curves["f32"][-1]) <= 0.02

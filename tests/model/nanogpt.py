"""nanoGPT's CPU setting on the characters of tinyshakespeare, three seeds: loss over the whole
validation set at most 1.93 each, mean within 0.02 of nanoGPT's own (1.910 over its runs). About two
minutes on two cores.

    python3 tests/model/nanogpt.py BUILD_FOLDER
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

NANOGPT = 1.910
FLAGS = (
    "--tokenizer char --arch gpt2 --layers 4 --heads 4 --embed 128 --context 64 --batch 12 "
    "--steps 2000 --lr 1e-3 --min-lr 1e-4 --warmup 100 --beta2 0.99 --weight-decay 0.1 "
    "--grad-clip 1 --no-bias --json"
).split()

losses = []
for seed in (1, 2, 3):
    with tempfile.TemporaryDirectory() as folder:
        command = [build / "quernel", "train", "--text", text, *FLAGS, "--seed", str(seed)]
        command += ["--out", pathlib.Path(folder, "model")]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    losses.append(json.loads(out.stdout.splitlines()[-1])["val_loss"])
    print(f"seed {seed}: validation loss {losses[-1]:.4f}", flush=True)
mean = sum(losses) / len(losses)
print(f"mean {mean:.4f}; nanoGPT {NANOGPT}")
assert max(losses) <= 1.93 and abs(mean - NANOGPT) <= 0.02

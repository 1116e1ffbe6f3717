"""A run killed with -9 again and again, and resumed, ends with the same bits as one that was never
killed, whatever saved memory in between; and two runs that were left alone are equal.

    python3 tests/model/kill_resume.py BUILD_FOLDER [KILLS] [documents]

documents: conversations, packed, in the order of a permutation, instead of windows of a text.
"""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

build, kills_wanted = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50
seed = int(os.environ.get("QN_SEED", time.time_ns() % 1000000))
random.seed(seed)
print(f"QN_SEED={seed}")

folder = tempfile.TemporaryDirectory()
root = pathlib.Path(folder.name)
text = root / "text.txt"
words = ["mill", "grain", "stone", "wheel", "flour", "water", "wind", "bread"]
text.write_text("".join(random.Random(1).choice(words) + " " for _ in range(6000)))
source = ["--text", text, "--tokenizer", "char"]
if sys.argv[3:] == ["documents"]:
    choose = random.Random(2)
    source = ["--data", root / "talks.jsonl", "--tokenizer", "bytes"]
    with open(source[1], "w") as file:
        for _ in range(300):
            say = [" ".join(choose.choices(words, k=choose.randrange(1, 9))) for _ in range(2)]
            talk = [{"role": r, "content": c} for r, c in zip(("user", "assistant"), say)]
            file.write(json.dumps({"messages": talk}) + "\n")


def command(out):
    return [
        build / "quernel",
        "train",
        *source,
        "--arch",
        "llama",
        "--layers",
        "2",
        "--heads",
        "2",
        "--embed",
        "32",
        "--context",
        "32",
        "--batch",
        "8",
        "--micro-batch",
        "2",
        "--dropout",
        "0.1",
        "--steps",
        "120",
        "--eval-every",
        "25",
        "--save-every",
        "4",
        "--quiet",
        "--resume",
        "--out",
        out,
    ]


def state(out):
    """Everything a checkpoint keeps, and the model folder."""
    newest = sorted(p for p in out.glob("step-*") if p.is_dir())[-1]
    files = [
        newest / "weights.safetensors",
        newest / "optimizer.safetensors",
        out / "model.safetensors",
    ]
    return newest.name, [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]


def finish(out):
    subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 121)), f"{out}: each step once"
    return [(line["loss"], line["grad_norm"], line.get("val_loss")) for line in lines]


def check_killed(out):
    """After kill -9: whole lines of steps 1, 2, ... as in a run left alone, perhaps half a line at
    the end, and none missing that a checkpoint holds."""
    path = out / "metrics.jsonl"
    whole = path.read_text().split("\n")[:-1] if path.exists() else []
    lines = [json.loads(line) for line in whole]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1)), out
    for line, want in zip(lines, curve):
        assert (line["loss"], line["grad_norm"], line.get("val_loss")) == want, line
    for manifest in out.glob("step-*/MANIFEST.json"):
        step = int(manifest.parent.name[5:13])
        assert len(lines) >= step, f"{out}: {len(lines)} lines, and a checkpoint of step {step}"


curve = finish(root / "alone")
start = time.time()
assert finish(root / "again") == curve, "the curves of two runs differ"
took = time.time() - start
want = state(root / "alone")
assert state(root / "again") == want, "two runs differ"
print(f"two runs are equal ({took:.1f} s each)")

# None of these changes a bit, so each start may have another.
SAVERS = [
    [],
    ["--recompute", "block"],
    ["--offload", "optimizer", "--recompute", "cheap"],
    ["--head-chunk", "10", "--offload", "optimizer"],
]
kills = chains = 0
while kills < kills_wanted:
    chains += 1
    out = root / f"killed{chains}"
    while kills < kills_wanted:
        run = subprocess.Popen(
            [*command(out), *random.choice(SAVERS)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            run.wait(random.uniform(0.02, took))
            if run.returncode != 0:
                raise SystemExit(
                    f"QN_SEED={seed}: after {kills} kills: exit {run.returncode}: "
                    + run.stderr.read().decode()
                )
            break
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            kills += 1
            check_killed(out)
    if finish(out) != curve:
        raise SystemExit(f"QN_SEED={seed}: the curve of a killed run is another one")
    got = state(out)
    if got != want:
        raise SystemExit(f"QN_SEED={seed}: a killed run ended as {got}, not as {want}")
print(f"{kills} kills in {chains} runs: every run ended with the same bits")

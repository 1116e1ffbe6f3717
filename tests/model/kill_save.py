"""`quernel train` is killed at every system call with which it saves: checkpoint, model folder,
metrics. Each time the same command goes on from a checkpoint that was there, and ends with the
bits of a run that was left alone. Then each of these calls fails instead, as on a full or broken
disk.

    python3 tests/model/kill_save.py BUILD_FOLDER [EVERY]      every EVERY-th call (1: all)
"""

import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
CALLS = "mkdir,openat,pwrite64,write,fsync,fdatasync,rename,unlink,rmdir,truncate,ftruncate,close"
CANNOT_WRITE, OS_ERROR = 73, 71
build, every = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
seed = int(os.environ.get("QN_SEED", random.randrange(1000000)))
if not shutil.which("strace"):
    print("strace is not installed")
    sys.exit(SKIP)
print(f"QN_SEED={seed}")

folder = tempfile.TemporaryDirectory()
root = pathlib.Path(folder.name)
text = root / "text.txt"
words = ["mill", "grain", "stone", "wheel", "flour", "water", "wind", "bread"]
text.write_text("".join(random.Random(1).choice(words) + " " for _ in range(2000)))

MODEL = "--tokenizer char --layers 1 --heads 2 --embed 16 --context 16 --batch 4 --dropout 0.1"
RUN = "--eval-every 2 --save-every 2 --keep 1 --quiet --resume"


def command(out, steps):
    run = [build / "quernel", "train", "--text", text, "--out", out, "--steps", str(steps)]
    return [*run, *MODEL.split(), *RUN.split()]


def run(words, good=(0,)):
    result = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
    if good and result.returncode not in good:
        raise SystemExit(f"{words}: exit {result.returncode}: {result.stderr.decode()}")
    return result


def state(out):
    newest = sorted(p for p in out.glob("step-*") if p.is_dir())[-1]
    files = [newest / "weights.safetensors", newest / "optimizer.safetensors"]
    files += [out / "model.safetensors", out / "config.json", out / "tokenizer.json"]
    return newest.name, [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]


def lines(out):
    return (out / "metrics.jsonl").read_text().splitlines()


def fresh(name):
    out = root / name
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(root / "start", out)
    return out


def traced(out, log, *inject):
    trace = ["strace", "-f", "-y", "-s", "0", "-o", log, "-e", f"trace={CALLS}"]
    for word in inject:
        trace += ["-e", word]
    return run([*trace, *command(out, 6)], good=())


def calls(out, log):
    """(call, how many of its name by now) of the thread that saves, where it touches the run."""
    seen, found, saver = {}, [], None
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if not match:
            continue
        thread, name = match.groups()
        saver = saver or thread
        if thread != saver:
            continue
        seen[name] = seen.get(name, 0) + 1
        if str(out) in line:
            found.append((name, seen[name]))
    return found


def check(out, what):
    """Go on to the end: from where a checkpoint was, with the same bits."""
    run(command(out, 6))
    if state(out) != want:
        raise SystemExit(f"QN_SEED={seed}: {what}: other bits")
    if lines(out)[:4] != lines(root / "start"):
        raise SystemExit(f"QN_SEED={seed}: {what}: steps 1 to 4 were done again: a checkpoint lost")
    left = [p for p in out.rglob("*") if ".tmp" in p.name or p.name.endswith(".old")]
    if left:
        raise SystemExit(f"QN_SEED={seed}: {what}: left behind: {left}")


run(command(root / "start", 4))
out = fresh("alone")
run(command(out, 6))
want = state(out)
traced(fresh("traced"), root / "log")
assert state(root / "traced") == want, "two runs differ"
points = calls(root / "traced", root / "log")
kinds = sorted({name for name, _ in points})
assert {"mkdir", "pwrite64", "fsync", "rename", "unlink", "rmdir"} <= set(kinds), kinds
assert len(points) > 60, points
chosen = points[seed % every :: every]
for name, count in chosen:
    out = fresh("killed")
    result = traced(out, root / "log2", f"inject={name}:signal=SIGKILL:when={count}")
    if "killed by SIGKILL" not in (root / "log2").read_text():
        raise SystemExit(f"{name} {count} was not reached")
    check(out, f"killed at {name} {count}")
print(f"killed at {len(chosen)} of {len(points)} calls: the same bits each time")

failures = {"pwrite64": "ENOSPC", "fsync": "EIO", "rename": "ENOSPC", "mkdir": "ENOSPC"}
chosen = [p for p in points if p[0] in failures][seed % every :: every]
stopped = 0
for name, count in chosen:
    out = fresh("failed")
    error = failures[name]
    result = traced(out, root / "log2", f"inject={name}:error={error}:when={count}")
    if result.returncode not in (0, CANNOT_WRITE, OS_ERROR):
        raise SystemExit(f"{error} at {name} {count}: exit {result.returncode}: {result.stderr}")
    stopped += result.returncode != 0
    check(out, f"{error} at {name} {count}")
assert stopped > 0 or every > 1
print(f"{len(chosen)} failing calls, {stopped} stopped the run: nothing was lost")

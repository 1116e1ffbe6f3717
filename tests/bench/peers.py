"""Ratios against other programs, in one run on one machine: A and B in turn, medians.

    python3 tests/bench/peers.py BUILD_FOLDER [--llmc PROGRAM] [--rounds N]

--llmc: a train_gpt2 of llm.c, built with OpenMP, run in its own folder (GPT-2 124M, B=4, T=64); it
prints "(took N ms)" a step). With PyTorch where it is installed: nanoGPT's setting, and GPT-2 124M
in f32 and bf16, eager and compiled (the better counts); --no-compile leaves the compiled ones out.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

arguments = argparse.ArgumentParser()
arguments.add_argument("build", type=pathlib.Path)
arguments.add_argument("--llmc", type=pathlib.Path)
arguments.add_argument("--rounds", type=int, default=3)
arguments.add_argument("--no-compile", action="store_true")
options = arguments.parse_args()
quernel = options.build.resolve() / "quernel"


def ours(*flags):
    out = subprocess.run([quernel, "bench", *flags, "--json"], capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(out.stderr)
    return json.loads(out.stdout)


def llmc_step():
    environment = dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count()))
    out = subprocess.run(
        [options.llmc.resolve()],
        cwd=options.llmc.resolve().parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    times = [float(ms) for ms in re.findall(r"took ([0-9.]+) ms", out.stdout)]
    return statistics.median(times[1:])


def torch_step():
    script = pathlib.Path(__file__).resolve().parent / "nanogpt_torch.py"
    out = subprocess.run([sys.executable, script], capture_output=True, text=True)
    if out.returncode == 77:
        return None
    if out.returncode != 0:
        raise SystemExit(out.stderr)
    return json.loads(out.stdout)["step_ms"]


def torch_gpt2(precision, compiled):
    script = pathlib.Path(__file__).resolve().parent / "gpt2_torch.py"
    command = [sys.executable, script, "--precision", precision]
    out = subprocess.run(
        command + (["--compile"] if compiled else []), capture_output=True, text=True
    )
    if out.returncode == 77:
        return None
    if out.returncode != 0:
        print(f"PyTorch {precision}{', compiled' if compiled else ''} failed", file=sys.stderr)
        return None
    return json.loads(out.stdout.splitlines()[-1])


def beside_torch(precision, flags):
    """Quernel, PyTorch eager and compiled in turn."""
    ways = [False] if options.no_compile else [False, True]
    mine, theirs = [], {way: [] for way in ways}
    for _ in range(options.rounds):
        mine.append(ours(*flags, "--precision", precision))
        for way in ways:
            theirs[way].append(torch_gpt2(precision, way))
    step = statistics.median(one["step_ms"] for one in mine)
    line = f"GPT-2 124M, B=4 T=64, {precision}: quernel {step:.1f} ms"
    line += f" ({mine[0]['device_bytes'] / 1e6:.0f} MB on the device)"
    for way in ways:
        runs = [run for run in theirs[way] if run]
        if not runs:
            continue
        other = statistics.median(run["step_ms"] for run in runs)
        name = "compiled" if way else "eager"
        line += f"; PyTorch {name} {other:.1f} ms ({runs[0]['peak_bytes'] / 1e6:.0f} MB process):"
        line += f" {other / step:.2f} times"
    print(line, flush=True)
    return step


def compare(label, peer, a, b):
    mine, theirs = [], []
    for _ in range(options.rounds):
        mine.append(a())
        theirs.append(b())
        if theirs[-1] is None:
            print(f"{label}: {peer} is not here")
            return
    x, y = statistics.median(mine), statistics.median(theirs)
    print(f"{label}: quernel {x:.1f} ms, {peer} {y:.1f} ms: {y / x:.2f} times faster", flush=True)


peak = ours("peak")
print(f"peak {peak['gflops']:.0f} GFLOP/s, host C {peak['host_gflops']:.0f}")
gemm = [ours("gemm", "--m", "1536", "--n", "1536", "--k", "768") for _ in range(options.rounds)]
share = statistics.median(one["percent_of_peak"] for one in gemm)
print(f"f32 product 1536x1536x768: {share:.1f} % of peak", flush=True)
nano = "--layers 4 --heads 4 --embed 128 --ffn 512 --vocab 65".split()
if options.llmc:
    gpt2 = "train --arch gpt2 --size 124M --batch 4 --context 64".split()
    compare("GPT-2 124M, B=4 T=64", "llm.c", lambda: ours(*gpt2)["step_ms"], llmc_step)
wide = "train --arch gpt2 --size 124M --batch 4 --context 64".split()
gemm = ["--m", "1536", "--n", "1536", "--k", "768", "--dtype", "bf16"]
gemm = [ours("gemm", *gemm) for _ in range(options.rounds)]
print(
    f"bf16 product 1536x1536x768: {statistics.median(g['gflops'] for g in gemm):.0f} GFLOP/s, ",
    end="",
)
print(f"{statistics.median(g['percent_of_peak'] for g in gemm):.1f} % of peak", flush=True)
steps = {precision: beside_torch(precision, wide) for precision in ("f32", "bf16")}
print(f"bf16 beside our f32: {steps['f32'] / steps['bf16']:.2f} times faster", flush=True)
small = ["train", "--arch", "gpt2", "--batch", "12", "--context", "64", *nano]
compare("nanoGPT's setting", "PyTorch", lambda: ours(*small)["step_ms"], torch_step)

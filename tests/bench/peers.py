"""Ratios against other programs, in one run on one machine: A and B in turn, medians.

    python3 tests/bench/peers.py BUILD_FOLDER [--llmc PROGRAM] [--rounds N]

--llmc: a train_gpt2 of llm.c, built with OpenMP, run in its own folder (GPT-2 124M, B=4, T=64); it
prints "(took N ms)" a step). nanoGPT's setting is compared with PyTorch where it is installed.
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
small = ["train", "--arch", "gpt2", "--batch", "12", "--context", "64", *nano]
compare("nanoGPT's setting", "PyTorch", lambda: ours(*small)["step_ms"], torch_step)

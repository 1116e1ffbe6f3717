"""same_bits.py OP_RUNNER FOLDER OP...: hashes of all results, line by line the same with one
compute thread and with two, and from cold caches and from warm ones.

Threads are judged on every case of the device tier, with the caches of the other tests, whose
programs need not be built again; caches on the tiny tier, which has every op and variant, in
FOLDER. Two ops are at work at a time."""

import multiprocessing.pool
import os
import shutil
import subprocess
import sys

CACHES = ("QN_CACHE_DIR", "POCL_CACHE_DIR")


def hashes(runner, op, tier, threads, folder=None):
    environment = dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(threads))
    for name in CACHES if folder else ():
        environment[name] = os.path.join(folder, op, name.lower())
        os.makedirs(environment[name], exist_ok=True)
    done = subprocess.run(
        [runner, "--hash", "--op", op, "--tier", tier],
        env=environment,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
    )
    if done.returncode != 0:
        return None
    return done.stdout.splitlines()


def compare(op, what, one, other):
    """How many lines there are, and how many differ."""
    if not one or not other or len(one) != len(other):
        print(f"FAILED {op}, {what}: no results, or not as many")
        return len(one or []), 1
    bad = [(a, b) for a, b in zip(one, other) if a != b]
    for a, b in bad:
        print(f"FAILED {what}:\n  {a}\n  {b}")
    return len(one), len(bad)


def judge(runner, folder, op):
    cold = hashes(runner, op, "tiny", 1, folder)
    warm = hashes(runner, op, "tiny", 2, folder)
    shutil.rmtree(os.path.join(folder, op), ignore_errors=True)
    single = hashes(runner, op, "device", 1)
    double = hashes(runner, op, "device", 2)
    return [
        compare(op, "cold caches beside warm ones", cold, warm),
        compare(op, "one compute thread beside two", single, double),
        compare(op, "caches of its own beside all tests'", cold, (single or [])[: len(cold or [])]),
    ]


def main():
    runner, folder, *ops = sys.argv[1:]
    shutil.rmtree(folder, ignore_errors=True)
    with multiprocessing.pool.ThreadPool(2) as pool:
        found = pool.map(lambda op: judge(runner, folder, op), ops, chunksize=1)
    shutil.rmtree(folder, ignore_errors=True)
    lines = [sum(f[kind][0] for f in found) for kind in range(3)]
    bad = sum(count for f in found for _, count in f)
    print(f"{lines[1]} hashes of threads, {lines[0]} of caches; {bad} differ")
    return bad != 0 or not ops


sys.exit(main())

"""same_bits.py OP_RUNNER FOLDER: the hashes of all results, with one compute thread and
cold caches, then with two threads and warm caches; they must agree line by line."""

import os
import shutil
import subprocess
import sys


def hashes(runner, folder, threads):
    environment = dict(
        os.environ,
        POCL_MAX_PTHREAD_COUNT=str(threads),
        QN_CACHE_DIR=os.path.join(folder, "quernel"),
        POCL_CACHE_DIR=os.path.join(folder, "pocl"),
    )
    for name in ("QN_CACHE_DIR", "POCL_CACHE_DIR"):
        os.makedirs(environment[name], exist_ok=True)
    done = subprocess.run(
        [runner, "--hash", "--tier", "device"],
        env=environment,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
    )
    if done.returncode != 0:
        sys.exit(
            f"{done.stdout[-2000:]}\nFAILED with {threads} threads: exit status {done.returncode}"
        )
    return done.stdout.splitlines()


def main():
    runner, folder = sys.argv[1:]
    shutil.rmtree(folder, ignore_errors=True)
    cold = hashes(runner, folder, threads=1)
    warm = hashes(runner, folder, threads=2)
    shutil.rmtree(folder, ignore_errors=True)
    bad = int(len(cold) != len(warm))
    for one, other in zip(cold, warm):
        if one != other:
            print(
                f"FAILED with two threads and warm caches: {other}\n"
                f"with one thread and cold caches:  {one}"
            )
            bad += 1
    print(f"{len(cold)} hashes, {bad} differ")
    return bad != 0 or not cold


sys.exit(main())

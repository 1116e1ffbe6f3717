"""gguf_peer.py BUILD MODEL.gguf... [--rounds N] [--tokens N] [--prompts 128,512]

Decoding and prefill of GGUF files beside llama-cpp-python (built for the native CPU), on the same
cores and in the same run: A and B alternate, medians are shown."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def theirs(path, threads, prompts, tokens):
    """Tokens a second of llama.cpp: prefill of each length, then decoding after the first."""
    import llama_cpp

    model = llama_cpp.Llama(
        path,
        n_ctx=1024,
        n_batch=512,
        n_ubatch=512,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
        use_mmap=True,
    )
    found = {}
    for count in [16] + prompts:
        ids = [(7919 * i + 11) % 30000 + 10 for i in range(count)]
        model.reset()
        start = time.perf_counter()
        model.eval(ids)
        found[f"prefill{count}"] = count / (time.perf_counter() - start)
    model.reset()
    model.eval(ids[: prompts[0]])
    start = time.perf_counter()
    for i in range(tokens):
        model.eval([100 + i])
    found["decode"] = tokens / (time.perf_counter() - start)
    del found["prefill16"]
    return found


def ours(build, path, prompts, tokens):
    """The same of the engine."""
    found = {}
    for count in prompts:
        text = subprocess.run(
            [os.path.join(build, "quernel"), "bench", "decode", "--model", path, "--json"]
            + ["--prompt-tokens", str(count), "--tokens", str(tokens), "--context", "1024"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        report = json.loads(text)
        found[f"prefill{count}"] = report["prompt_tokens_per_s"]
        if count == prompts[0]:
            found["decode"] = report["tokens_per_s"]
            found["percent_of_bandwidth"] = report["percent_of_bandwidth"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--prompts", default="128,512")
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    args = parser.parse_args()
    prompts = [int(p) for p in args.prompts.split(",")]
    threads = len(os.sched_getaffinity(0))
    if args.theirs:
        print(json.dumps(theirs(args.theirs, threads, prompts, args.tokens)))
        return 0
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        print("gguf_peer.py: llama-cpp-python is not installed; nothing to compare with")
        return 77
    for path in args.models:
        runs = {"ours": [], "llama.cpp": []}
        for _ in range(args.rounds):
            runs["ours"].append(ours(args.build, path, prompts, args.tokens))
            text = subprocess.run(
                [sys.executable, __file__, args.build, path, "--theirs", path]
                + ["--tokens", str(args.tokens), "--prompts", args.prompts],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            runs["llama.cpp"].append(json.loads(text.splitlines()[-1]))
        print(os.path.basename(path))
        for key in runs["ours"][0]:
            mine = statistics.median(r[key] for r in runs["ours"])
            if key not in runs["llama.cpp"][0]:
                print(f"  {key:22} {mine:8.1f}")
                continue
            other = statistics.median(r[key] for r in runs["llama.cpp"])
            print(f"  {key:22} {mine:8.1f}  llama.cpp {other:8.1f}  ratio {mine / other:.2f}")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

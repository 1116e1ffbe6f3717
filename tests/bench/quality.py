"""What quantizing costs: one line a type of file, as Markdown. Each file is made from MODEL by
`quernel quantize` and set beside MODEL in 32 bits by `quernel eval --kl-against`; with --llama-cpp
the last column is the perplexity worked out from the logits that llama-cpp-python has.

    python3 tests/bench/quality.py BUILD_FOLDER MODEL TEXT [--tokenizer PATH] [--context N] \\
        [--llama-cpp] [TYPE ...]
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

TYPES = "F16 BF16 Q8_0 Q6_K Q5_K_M Q5_1 Q5_0 Q4_K_M Q4_1 Q4_0 IQ4_NL IQ4_XS Q3_K_M Q2_K".split()


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("model")
    args.add_argument("text")
    args.add_argument("types", nargs="*", default=TYPES, metavar="TYPE")
    args.add_argument("--tokenizer")
    args.add_argument("--context", default="512")
    args.add_argument("--llama-cpp", action="store_true")
    args = args.parse_intermixed_args()

    def quernel(*words):
        words = [str(args.build / "quernel"), *map(str, words), "--json"]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return json.loads(done.stdout)

    def of_llama_cpp(path):
        if not args.llama_cpp:
            return ""
        sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))
        sys.argv[1:] = [str(args.build), "."]
        import perplexity_llama as peer

        raw = pathlib.Path(args.text).read_bytes()
        return f" {peer.perplexity(*peer.by_llama_cpp(path, raw, int(args.context)))[0]:.3f} |"

    heads = "file", "bits a weight", "relative squared error", "perplexity"
    heads += "KL, mean", "KL, 99.9 %", "same top token"
    heads += ("llama.cpp",) if args.llama_cpp else ()
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tokenizer = ["--tokenizer", args.tokenizer] if args.tokenizer else []
        whole = folder / "F32.gguf"
        quernel("quantize", args.model, whole, "--type", "F32", *tokenizer)
        text = ["--text", args.text, "--context", args.context]
        plain = quernel("eval", "--model", whole, "--perplexity", *text)
        print(f"| F32 | 32 | | {plain['perplexity']:.3f} | | | |{of_llama_cpp(whole)}")
        for name in args.types:
            small = folder / f"{name}.gguf"
            made = quernel("quantize", whole, small, "--type", name)
            found = quernel("eval", "--model", small, "--kl-against", whole, *text)
            print(
                f"| {name} | {made['bits_per_weight']:.2f} | {made['nmse']:.2e} "
                f"| {found['perplexity']:.3f} | {found['kl_mean']:.5f} | {found['kl_99.9']:.4f} "
                f"| {100 * found['same_top']:.2f} % |{of_llama_cpp(small)}",
                flush=True,
            )
            small.unlink()
        print(f"\n{found['predicted']} tokens scored, chunks of {found['context']}.")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# From nothing to a trained language model: installs what is missing, builds, makes stories, trains, writes one.
#
#   ./examples/quickstart.sh [--fresh]
#
# Everything it makes is in build/. What is there already is not made again; --fresh makes stories and model anew.
# Written for Debian 12; Ubuntu 24.04 is scripted too, but untested.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

build=build
work=$build/quickstart
steps=3000

case "${1-}" in
'') ;;
--fresh) rm -rf "$work" ;;
*)
    echo "usage: ./examples/quickstart.sh [--fresh]" >&2
    exit 64
    ;;
esac

say() { printf '\n== %s\n' "$*"; }

# ---- what must be installed ----

./examples/packages.sh

# ---- build ----

say "building into $build/"
[ -f $build/CMakeCache.txt ] || cmake -S . -B $build -DQN_TESTS=OFF >/dev/null
cmake --build $build -j "$(nproc)" --target quernel_command quernel-probe stories | tail -n 3

say "this machine"
$build/quernel devices

# ---- text ----

mkdir -p "$work"
if [ ! -s "$work/stories.txt" ]; then
    say "making stories"
    $build/examples/stories --seed 1 --megabytes 3 >"$work/stories.tmp"
    mv "$work/stories.tmp" "$work/stories.txt"
fi
echo "$(grep -c "^<|endoftext|>" "$work/stories.txt") stories in $work/stories.txt; the first:"
head -n 1 "$work/stories.txt"

# ---- train ----

if [ -f "$work/model/model.safetensors" ] && [ -f "$work/model/done" ]; then
    say "the model is trained already (--fresh trains a new one)"
    echo "curve:  $work/model/loss.svg"
    echo "report: $work/model/report.html"
else
    say "training: Ctrl-C saves and stops; run me again to go on"
    $build/quernel train --text "$work/stories.txt" --tokenizer bpe:2048 --arch llama --layers 3 \
        --heads 4 --embed 128 --context 160 --batch 12 --steps $steps --lr 4e-3 --warmup 100 \
        --val-fraction 0.02 --eval-every 500 --save-every 500 --sample-prompt "Once upon a time" \
        --out "$work/model" --resume
    : >"$work/model/done"
fi

# ---- write ----

say "a story by the model"
seed=$(date +%s)
$build/quernel generate --model "$work/model" --prompt "Once upon a time" --tokens 200 \
    --temperature 0.8 --seed "$seed" >"$work/story.txt"
cat "$work/story.txt"
echo

# The longest run of characters that the story shares with the training text, newlines read as spaces.
shared=$(for file in "$work/stories.txt" "$work/story.txt"; do
    tr -s '\n' ' ' <"$file" | sed 's/ $//'
    echo
done | awk '
    NR == 1 { text = $0; next }
    {
        for (from = 1; from + longest <= length($0); from++)
            while (from + longest <= length($0) && index(text, substr($0, from, longest + 1)))
                longest++
        print longest + 0, length($0)
    }')
longest=${shared% *}
length=${shared#* }
if [ "$longest" -ge "$length" ]; then
    echo "This story stands in the training text word for word. Run me again for another one."
else
    echo "This story is not in the training text: at most $longest of its $length characters in a row are."
fi
echo
echo "more:  $build/quernel generate --model $work/model --prompt 'One day' --tokens 200 --seed 7"
echo "       $build/quernel --help"

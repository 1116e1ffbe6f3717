"""make_fold.py OUT: the table behind engine/text/fold.c, from Python's unicodedata.

Runs of characters as {first, last}; lower case as {first, last, step, delta}; what is left of a
character's canonical decomposition without its nonspacing marks as {character, rest...}. Hangul
syllables are decomposed by arithmetic and are not in the table."""

import sys
import unicodedata

ALL = [chr(c) for c in range(0x110000)]


def runs(wanted):
    out = []
    for c, text in enumerate(ALL):
        if not wanted(text):
            continue
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def lower_runs():
    out = []
    for c, text in enumerate(ALL):
        low = text.lower()
        if len(low) != 1 or low == text:
            continue
        delta = ord(low) - c
        if out and out[-1][3] == delta:
            first, last, step, _ = out[-1]
            gap = c - last
            if gap <= 2 and (step == gap or first == last):
                out[-1] = [first, c, gap, delta]
                continue
        out.append([c, c, 1, delta])
    return out


def strips():
    out = []
    for c, text in enumerate(ALL):
        parts = unicodedata.normalize("NFD", text)
        if parts == text or 0xAC00 <= c <= 0xD7A3:
            continue
        out.append([c] + [ord(p) for p in parts if unicodedata.category(p) != "Mn"])
    return out


def number(value):
    return str(value) if -10 < value < 10 else f"{'-' if value < 0 else ''}0x{abs(value):x}"


def write(file, kind, name, rows):
    file.write(f"\nstatic const {kind} {name}[] = {{\n")
    line = "   "
    for row in rows:
        cell = " {" + ",".join(number(v) for v in row) + "},"
        if len(line) + len(cell) > 100:
            file.write(line + "\n")
            line = "   "
        line += cell
    file.write(line + "\n};\n")


def is_category(*names):
    return lambda text: unicodedata.category(text) in names


with open(sys.argv[1], "w") as out:
    out.write(f"/* Made by make_fold.py from Unicode {unicodedata.unidata_version}. */\n")
    write(out, "qn__range", "marks", runs(is_category("Mn")))
    write(out, "qn__range", "others", runs(is_category("Cc", "Cf", "Co")))
    write(out, "qn__range", "punctuation", runs(lambda t: unicodedata.category(t)[0] == "P"))
    write(out, "qn__lower", "lowers", lower_runs())
    write(out, "qn__strip", "strips", strips())

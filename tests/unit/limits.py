"""limits.py SOURCE_FOLDER: the limits of STYLE on files, functions, lines and parameters.

What may exceed one is named in limits_exceptions.txt: "path limit reason", limit being file,
function, line or parameters; an exception that nothing needs is an error too.
"""

import os
import re
import sys

C_LINES, CL_LINES, FUNCTION_LINES, COLUMNS, PARAMETERS = 800, 400, 120, 100, 7
FOLDERS = ("engine", "cl_kernels", "bindings", "examples", "tests")
ENDINGS = (".c", ".h", ".cl", ".clh", ".def", ".cpp", ".hpp", ".py")
NOT_FUNCTIONS = {"if", "for", "while", "switch", "return", "sizeof", "defined"}


def blank(text):
    """The same text with comments, strings and characters blanked, so that brackets count."""
    out, i = [], 0
    pattern = re.compile(
        r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
    )
    for found in pattern.finditer(text):
        out.append(text[i : found.start()])
        out.append(re.sub(r"[^\n]", " ", found[0]))
        i = found.end()
    return "".join(out) + text[i:]


def without_macros(text):
    """Preprocessor lines blanked; of #if, #elif, #else only the first branch stays."""
    lines, keep, stack, continued = [], True, [], False
    for line in text.split("\n"):
        directive = re.match(r"\s*#\s*(\w+)", line) if not continued else None
        if directive:
            word = directive[1]
            if word in ("if", "ifdef", "ifndef"):
                stack.append(keep)
            elif word in ("elif", "else") and stack:
                keep = False
            elif word == "endif" and stack:
                keep = stack.pop()
        blanked = directive or continued or not keep
        continued = (directive or continued) and line.endswith("\\")
        lines.append("" if blanked else line)
    return "\n".join(lines)


def functions(text):
    """(name, first line, lines, parameters) of each function; 0 lines: a prototype."""
    depth, i = 0, 0
    heads = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
    while i < len(text):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
        elif depth == 0:
            found = heads.match(text, i)
            if found and (i == 0 or not (text[i - 1].isalnum() or text[i - 1] == "_")):
                close = matching(text, found.end() - 1, "()")
                if (
                    found[1] in NOT_FUNCTIONS
                    or found[1].isupper()
                    or found[1].startswith(("QN_", "__"))
                ):
                    i = close + 1
                    continue
                after = re.compile(
                    r"(?:\s|QN_\w+(?:\([^()]*\))?|__attribute__\s*\(\(.*?\)\))*([{;]?)"
                ).match(text, close + 1)
                first = text.count("\n", 0, i) + 1
                parameters = count_parameters(text[found.end() : close])
                if after[1] == "{":
                    end = matching(text, after.end() - 1, "{}")
                    yield found[1], first, text.count("\n", i, end) + 1, parameters
                    i = end + 1
                    continue
                if after[1] == ";":
                    yield found[1], first, 0, parameters
                i = close + 1
                continue
        i += 1


def matching(text, start, pair):
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == pair[0]) - (text[i] == pair[1])
        if depth == 0:
            return i
    return len(text) - 1


def count_parameters(inside):
    if inside.strip() in ("", "void"):
        return 0
    depth = commas = 0
    for c in inside:
        depth += (c in "([{") - (c in ")]}")
        commas += c == "," and depth == 0
    return commas + 1


def check(path, name):
    """(limit, line, what) of each thing in the file beyond its limit."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = text.split("\n")
    count = len(lines) - (lines[-1] == "")
    limit = CL_LINES if name.endswith((".cl", ".clh")) else C_LINES
    if count > limit:
        yield "file", 1, f"{count} lines; at most {limit}"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            yield "line", number, f"{len(line)} columns; at most {COLUMNS}"
    if not name.endswith((".c", ".h", ".cl", ".clh")):
        return
    for function, first, length, parameters in functions(without_macros(blank(text))):
        if length > FUNCTION_LINES:
            yield "function", first, f"{function} has {length} lines; at most {FUNCTION_LINES}"
        # A kernel's arguments are buffers with their offsets: they are not bound by this.
        if parameters > PARAMETERS and not name.endswith((".cl", ".clh")):
            what = f"{function} has {parameters} parameters; at most {PARAMETERS}"
            yield "parameters", first, what


def read_exceptions(path):
    exceptions = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split("#")[0].split(None, 2)
            if not words:
                continue
            if len(words) < 3:
                sys.exit(f"{path}:{number}: an exception needs a path, a limit and a reason")
            exceptions[words[0], words[1]] = number
    return exceptions


def main():
    source = sys.argv[1]
    path = os.path.join(source, "tests", "unit", "limits_exceptions.txt")
    exceptions, used, bad, files = read_exceptions(path), set(), 0, 0
    for folder in FOLDERS:
        for parent, folders, names in os.walk(os.path.join(source, folder)):
            folders.sort()
            for name in sorted(n for n in names if n.endswith(ENDINGS)):
                full = os.path.join(parent, name)
                short = os.path.relpath(full, source)
                files += 1
                for limit, line, what in check(full, name):
                    if (short, limit) in exceptions:
                        used.add((short, limit))
                        continue
                    print(f"{short}:{line}: {what}")
                    bad += 1
    for key in sorted(set(exceptions) - used):
        print(
            f"tests/unit/limits_exceptions.txt:{exceptions[key]}: "
            f"{' '.join(key)} is not needed any more"
        )
        bad += 1
    print(f"{files} files, {bad} beyond a limit, {len(exceptions)} exceptions")
    return bad != 0 or files == 0


sys.exit(main())

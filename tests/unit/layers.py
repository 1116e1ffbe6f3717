"""layers.py SOURCE_FOLDER: every #include of engine/ obeys engine/LAYERS. Prints each line that
does not."""

import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def read_table(path):
    """Layers to what they may include, and foreign headers to who alone may include them."""
    layers, foreign = {}, {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.split("#")[0].strip()
            if not line:
                continue
            name, allowed = line.split(":")
            words = name.split()
            if words[0] == "extern":
                foreign[words[1]] = set(allowed.split())
            else:
                layers[name] = set(allowed.split())
    return layers, foreign


def why_not(layer, header, quoted, layers, foreign):
    """None where file of `layer` may include the header."""
    for start, users in foreign.items():
        if header.startswith(start) and layer not in users:
            return f"only {' '.join(sorted(users))} may include {start}"
    if header.startswith("quernel/") or not quoted:
        return None
    if "/" not in header:
        return 'say the layer: "layer/header.h"'
    target = header.split("/")[0]
    if target not in layers:
        return f"{target} is not a layer"
    if target == layer or target in layers[layer] or header in layers[layer]:
        return None
    return f"{layer} may include only {' '.join(sorted(layers[layer])) or 'itself'}"


def main():
    engine = os.path.join(sys.argv[1], "engine")
    layers, foreign = read_table(os.path.join(engine, "LAYERS"))
    bad = files = 0
    for layer in sorted(os.listdir(engine)):
        folder = os.path.join(engine, layer)
        if layer == "include" or not os.path.isdir(folder):
            continue
        if layer not in layers:
            print(f"engine/{layer} is not in engine/LAYERS")
            bad += 1
            continue
        for parent, _, names in os.walk(folder):
            for name in sorted(names):
                if not name.endswith((".c", ".h", ".def")):
                    continue
                path = os.path.join(parent, name)
                files += 1
                with open(path, encoding="utf-8") as lines:
                    for number, line in enumerate(lines, 1):
                        found = INCLUDE.match(line)
                        if not found:
                            continue
                        why = why_not(layer, found[1] or found[2], bool(found[1]), layers, foreign)
                        if why:
                            print(
                                f"{os.path.relpath(path, sys.argv[1])}:{number}: "
                                f"{line.strip()}: {why}"
                            )
                            bad += 1
    # Ways in and examples see public headers only.
    for folder in ("bindings", "examples"):
        for parent, _, names in os.walk(os.path.join(sys.argv[1], folder)):
            for name in sorted(names):
                if not name.endswith((".c", ".h", ".cpp", ".hpp")):
                    continue
                path = os.path.join(parent, name)
                files += 1
                with open(path, encoding="utf-8") as lines:
                    for number, line in enumerate(lines, 1):
                        found = INCLUDE.match(line)
                        header = (found[1] or found[2]) if found else ""
                        if header.split("/")[0] in layers and "/" in header:
                            print(
                                f"{os.path.relpath(path, sys.argv[1])}:{number}: "
                                f"{line.strip()}: not a public header"
                            )
                            bad += 1
    print(f"{files} files, {bad} includes against engine/LAYERS")
    return bad != 0 or files == 0


sys.exit(main())

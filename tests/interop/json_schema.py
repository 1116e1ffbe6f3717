"""Texts that `quernel generate --json-schema` writes at a high temperature are valid for the
jsonschema package. Without it the test says so and passes.

    python3 tests/interop/json_schema.py BUILD_FOLDER DATA_FOLDER
"""

import json
import pathlib
import subprocess
import sys

try:
    import jsonschema
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

QUERNEL = pathlib.Path(sys.argv[1]).resolve() / "quernel"
DATA = pathlib.Path(sys.argv[2])
STRING = {"type": "string"}
# Without \W: Python counts letters beyond ASCII among words, ECMA-262 does not.
SCHEMAS = [
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": -3, "maximum": 250}}},
    {"type": "array", "items": {"enum": ["x", 1, None]}, "minItems": 2, "maxItems": 5},
    {"type": "number", "exclusiveMinimum": -2, "maximum": 3},
    {"type": "number", "minimum": 17, "exclusiveMaximum": 18},
    {**STRING, "minLength": 3, "maxLength": 8},
    {**STRING, "pattern": "^[A-Z][a-z]{1,5}( [A-Z][a-z]{1,5})?$"},
    {**STRING, "pattern": r"^(\d{1,3}\.){3}\d{1,3}$"},
    {**STRING, "pattern": r"^[^\s\"\\]{2,6}\\[\"\t]\w+$"},
    {**STRING, "pattern": r"^(?:\u00e9|\S[-+]){1,4}$|^x+?\.$"},
    {"anyOf": [{"type": "null"}, {"const": {"k": [1, 'a"b']}}]},
    {"type": ["integer", "null"], "anyOf": [{"minimum": 7, "maximum": 90}, {"type": "null"}]},
    {
        "allOf": [
            {"type": "object", "properties": {"n": {"type": "integer"}, "s": STRING}},
            {"properties": {"n": {"minimum": 5}, "s": {"maxLength": 4}}, "required": ["n", "s"]},
            {"properties": {"n": {"maximum": 8}}},
        ]
    },
    {
        "$defs": {"id": {**STRING, "pattern": "^[a-f0-9]{8}$"}, "pair": {"minItems": 2}},
        "allOf": [{"$ref": "#/$defs/pair"}],
        "type": "array",
        "items": {"$ref": "#/$defs/id"},
        "maxItems": 3,
    },
    {"oneOf": [{"type": "boolean"}, {**STRING, "format": "date"}]},
]


def write(schema, seed):
    model, tokenizer = DATA / "stories260K.bin", DATA / "tok512.bin"
    words = ["generate", "--model", model, "--tokenizer", tokenizer, "--json", "--tokens", "220"]
    words += ["--temperature", "3", "--top-p", "1", "--seed", seed]
    words += ["--json-schema", json.dumps(schema)]
    done = subprocess.run([QUERNEL, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (schema, done.stderr)
    return json.loads(done.stdout)


def main():
    whole = 0
    for schema in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(schema)
        for seed in range(3):
            said = write(schema, seed)
            if said["stop"] != "grammar":
                continue  # strings go on and on at this temperature
            jsonschema.Draft202012Validator(schema).validate(json.loads(said["text"]))
            whole += 1
    print(f"{whole} texts of {len(SCHEMAS)} schemas are valid")
    assert whole >= 2 * len(SCHEMAS)


main()

#!/usr/bin/env python3
"""Converts BFCL's multi-turn conversations, as PyPI's `bfcl-eval` ships them, into what the replay reads.

    python3 -m pip download bfcl-eval==2026.3.23 --no-deps --dest /tmp/bfcl
    python3 deploy/bfcl/convert.py /tmp/bfcl/bfcl_eval-2026.3.23-py3-none-any.whl

Writes the conversations beside this file, one JSON file a set, and the tools as MCP's tools/list into the catalogs of
`deploy/packs/bfcl`. Needs nothing but Python's standard library; nothing of the wheel is run.

Every call must be of a tool that there is, with arguments that the tool has and all that it requires. What does not fit ends
the conversion, naming the conversation, the call and the reason. Values are left as they are: whether they are of the types
that the tool declares is the gate's to say. Only in the set that its authors retired (`composite`) is
such a conversation left out whole instead, and the file lists it with the reason under `left_out`.
"""

import ast
import json
import pathlib
import sys
import zipfile

DATA = "bfcl_eval/data/"
# Each catalog, and the class of the wheel that its tools come from.
CATALOGS = {
    "files": "gorilla_file_system",
    "maths": "math_api",
    "messages": "message_api",
    "posts": "posting_api",
    "tickets": "ticket_api",
    "trading": "trading_bot",
    "travel": "travel_booking",
    "vehicle": "vehicle_control",
}
# Each set: its questions, its answers, and whether its authors retired it.
SETS = {
    name: (f"BFCL_v4_multi_turn_{name}.json", f"possible_answer/BFCL_v4_multi_turn_{name}.json", False)
    for name in ("base", "miss_func", "miss_param", "long_context")
} | {
    "composite": (
        "unused_datasets/question/BFCL_v4_multi_turn_composite.json",
        "unused_datasets/possible_answer/BFCL_v4_multi_turn_composite.json",
        True,
    )
}
# The wheel's names of types, and JSON Schema's.
TYPES = {
    "string": "string",
    "integer": "integer",
    "float": "number",
    "boolean": "boolean",
    "array": "array",
    "dict": "object",
}
SOURCE = "BFCL v4 multi-turn (PyPI bfcl-eval 2026.3.23, Apache-2.0), ground truths converted without a model"


class Refused(Exception):
    """What can't be converted, and why."""


def schema(described):
    """JSON Schema of one described value."""
    if described["type"] not in TYPES:
        raise Refused(f"unknown type `{described['type']}`")
    made = {"type": TYPES[described["type"]]}
    if described.get("description"):
        made["description"] = described["description"].strip()
    if "items" in described:
        made["items"] = schema(described["items"])
    if "properties" in described:
        made["properties"] = {name: schema(member) for name, member in described["properties"].items()}
    # The wheel writes "None" where it means that there is no default.
    if described.get("default", "None") != "None":
        made["default"] = described["default"]
    if described.get("required"):
        made["required"] = described["required"]
    return made


def tool(described):
    """One tool as MCP's tools/list gives it, without the words that all tools of a class share."""
    schema_of_input = schema(described["parameters"])
    schema_of_input.setdefault("properties", {})
    description = described["description"].split("Tool description:")[-1].strip()
    return {"name": described["name"], "description": description, "inputSchema": schema_of_input}


def call(text, tools):
    """One call, written as Python, as the tool's name with its catalog's and JSON arguments by name."""
    try:
        written = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise Refused(f"not a call: {error.msg}") from None
    if not isinstance(written, ast.Call) or not isinstance(written.func, ast.Name):
        raise Refused("not a call of a function by its name")
    name = written.func.id
    if name not in tools:
        raise Refused(f"there is no tool `{name}`")
    catalog, described = tools[name]
    members = described["parameters"]["properties"]
    names = list(members)
    if len(written.args) > len(names):
        raise Refused(f"`{name}` takes {len(names)} arguments")
    pairs = list(zip(names, written.args)) + [(word.arg, word.value) for word in written.keywords]
    arguments = {}
    for argument, value in pairs:
        if argument not in members:
            raise Refused(f"`{name}` has no argument `{argument}`")
        if argument in arguments:
            raise Refused(f"`{name}` is given `{argument}` twice")
        try:
            arguments[argument] = ast.literal_eval(value)
        except ValueError:
            raise Refused(f"`{argument}` is not a literal value") from None
    for required in described["parameters"].get("required", []):
        if required not in arguments:
            raise Refused(f"`{name}` lacks `{required}`")
    return {"tool": f"{catalog}/{name}", "arguments": arguments}


def conversation(question, answer, tools):
    """One conversation: each turn's words of the user, and the calls that answer them."""
    turns, answers = question["question"], answer["ground_truth"]
    if question["id"] != answer["id"] or len(turns) != len(answers):
        raise Refused("its questions and its answers don't belong together")
    made = []
    for messages, calls in zip(turns, answers):
        if any(message["role"] != "user" for message in messages):
            raise Refused("a message is not the user's")
        turn = {"user": "\n".join(message["content"] for message in messages), "calls": []}
        for text in calls:
            try:
                turn["calls"].append(call(text, tools))
            except Refused as why:
                raise Refused(f"`{text[:80]}`: {why}") from None
        made.append(turn)
    return {"id": question["id"].removeprefix("multi_turn_"), "turns": made}


def lines(wheel, path):
    """A file of the wheel that has one JSON document a line."""
    return [json.loads(line) for line in wheel.read(DATA + path).decode().splitlines() if line]


def convert(wheel, name, tools):
    """One set."""
    questions, answers, retired = SETS[name]
    conversations, left_out = [], []
    for question, answer in zip(lines(wheel, questions), lines(wheel, answers), strict=True):
        try:
            conversations.append(conversation(question, answer, tools))
        except Refused as why:
            if not retired:
                raise Refused(f"{question['id']}: {why}") from None
            calls = sum(len(turn) for turn in answer["ground_truth"])
            left_out.append({"id": question["id"].removeprefix("multi_turn_"), "calls": calls, "why": str(why)})
    return {"source": SOURCE, "set": name, "left_out": left_out, "conversations": conversations}


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main(wheel_file):
    here = pathlib.Path(__file__).resolve().parent
    catalogs = here.parent / "packs" / "bfcl" / "catalog"
    catalogs.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel_file) as wheel:
        tools = {}
        for catalog, file in CATALOGS.items():
            described = lines(wheel, f"multi_turn_func_doc/{file}.json")
            for one in described:
                if one["name"] in tools:
                    raise Refused(f"two tools are named `{one['name']}`")
                tools[one["name"]] = (catalog, one)
            listed = ",\n".join(compact(tool(one)) for one in described)
            (catalogs / f"{catalog}.json").write_text(f"[\n{listed}\n]\n", encoding="utf-8")
        for name in SETS:
            made = convert(wheel, name, tools)
            # One conversation a line, so that a difference between two versions can be read.
            rows = ",\n".join(compact(one) for one in made.pop("conversations"))
            head = compact(made)[:-1]
            (here / f"{name}.json").write_text(f'{head},"conversations":[\n{rows}\n]}}\n', encoding="utf-8")
            print(f"{name}: {rows.count(chr(10)) + 1} conversations, {len(made['left_out'])} left out")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except (Refused, OSError, zipfile.BadZipFile, KeyError) as error:
        sys.exit(f"convert.py: {error}")

#!/usr/bin/env python3
"""Makes the calls of BFCL's multi-turn conversations, and writes down what came back.

    python3 -m pip download bfcl-eval==2026.3.23 --no-deps --dest /tmp/bfcl
    python3 deploy/bfcl/results.py /tmp/bfcl/bfcl_eval-2026.3.23-py3-none-any.whl

The wheel has a small program for each service, and for each conversation what is in that service when it begins. They are run as the
wheel's own checker runs them: the calls of a conversation in order, on one instance of each service. Only services that keep records
are: messages, posts, tickets, trading, travel. Needs nothing but Python's standard library. No model, no network; what they draw at
random they draw from seeds in the wheel.

Reads the conversations beside this file and writes `results/<set>.json`: of each conversation, turn by turn, what each call gave, as
JSON, or null if its service is not among these, it failed, or it gave more values than the gate would look at.
"""

import copy
import importlib
import json
import pathlib
import sys
import zipfile

DATA = "bfcl_eval/data/"
SOURCES = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code."
# A gate looks at so many values of one result. What has more is left out whole: it can only vouch for less so.
VALUES_MAX = 512
# Each catalog whose tools are run, and where its program is.
SERVICES = {
    "messages": ("message_api", "MessageAPI"),
    "posts": ("posting_api", "TwitterAPI"),
    "tickets": ("ticket_api", "TicketAPI"),
    "trading": ("trading_bot", "TradingBot"),
    "travel": ("travel_booking", "TravelAPI"),
}
# Each set, where its questions are, and whether its services hold much more than what is asked for.
SETS = {
    "base": ("BFCL_v4_multi_turn_base.json", False),
    "miss_func": ("BFCL_v4_multi_turn_miss_func.json", False),
    "miss_param": ("BFCL_v4_multi_turn_miss_param.json", False),
    "long_context": ("BFCL_v4_multi_turn_long_context.json", True),
    "composite": ("unused_datasets/question/BFCL_v4_multi_turn_composite.json", True),
}


class Services:
    """The services of one conversation, each as it is when the conversation begins."""

    def __init__(self, config, long_context):
        self.config, self.long_context, self.running = config, long_context, {}

    def of(self, catalog):
        if catalog not in self.running:
            module, name = SERVICES[catalog]
            service = getattr(importlib.import_module(SOURCES + module), name)()
            service._load_scenario(copy.deepcopy(self.config.get(name, {})), long_context=self.long_context)
            self.running[catalog] = service
        return self.running[catalog]

    def call(self, tool, arguments):
        catalog, name = tool.split("/")
        if catalog not in SERVICES:
            return None
        try:
            given = json.loads(json.dumps(getattr(self.of(catalog), name)(**arguments)))
            return given if values(given) <= VALUES_MAX else None
        # Whatever a service fails with, it has given nothing.
        except Exception:
            return None


def values(given):
    """How many values there are in something."""
    if isinstance(given, (dict, list)):
        return sum(map(values, given.values() if isinstance(given, dict) else given))
    return 1


def main(wheel_file):
    here = pathlib.Path(__file__).resolve().parent
    (here / "results").mkdir(exist_ok=True)
    sys.path.insert(0, wheel_file)
    with zipfile.ZipFile(wheel_file) as wheel:
        for name, (questions, long_context) in SETS.items():
            lines = wheel.read(DATA + questions).decode().splitlines()
            asked = [json.loads(line) for line in lines if line]
            configs = {one["id"].removeprefix("multi_turn_"): one["initial_config"] for one in asked}
            conversations = json.loads((here / f"{name}.json").read_text(encoding="utf-8"))["conversations"]
            rows, given = [], 0
            for one in conversations:
                services = Services(configs[one["id"]], long_context)
                turns = [[services.call(**call) for call in turn["calls"]] for turn in one["turns"]]
                given += sum(result is not None for turn in turns for result in turn)
                row = {"id": one["id"], "turns": turns}
                rows.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
            text = f'{{"set":"{name}","conversations":[\n' + ",\n".join(rows) + "\n]}\n"
            (here / "results" / f"{name}.json").write_text(text, encoding="utf-8")
            print(f"{name}: {given} results")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])

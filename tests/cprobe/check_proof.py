"""Runs inside gdb: stop at each check that cprobe found, write the variable that it reads, see which way is taken.

$CHECKS is a JSON file {number: {"records": [...], "values": {expression: value}}}; the answer goes to $PROOF, as
{number: {"exit": code or null, "wrote": [expression...], "stops": n}}.
"""

import json
import os

import gdb

cases = json.load(open(os.environ["CHECKS"]))
answers = {}
for setting in ("pagination off", "confirm off", "startup-with-shell off"):
    gdb.execute(f"set {setting}")
for number, case in cases.items():
    checks = [r for r in case["records"] if r["kind"] == "check"]
    gdb.execute("delete", to_string=True)
    gdb.execute("set $_exitcode = (void)0")
    gdb.execute(f"set args {number}")
    gdb.execute("starti", to_string=True)
    base = int(gdb.parse_and_eval("$pc")) - int(os.environ["ENTRY"], 0)
    for address in {int(c["address"], 16) for c in checks}:
        gdb.execute(f"break *{address + base:#x}", to_string=True)
    spans = []
    for expression in case["values"]:
        place = gdb.parse_and_eval(f"&{expression}")
        spans.append((int(place), int(place) + place.type.target().sizeof, expression))
    wrote, stops = [], 0
    while stops < 50:
        gdb.execute("continue", to_string=True)
        try:
            pc = int(gdb.parse_and_eval("$pc")) - base
        except gdb.error:
            break
        stops += 1
        for check in checks:
            read = int(check.get("variable_address", "0"), 16) + base
            for start, end, expression in spans:
                if int(check["address"], 16) == pc and start <= read < end:
                    gdb.execute(f"set var {expression} = {case['values'][expression]}")
                    wrote.append(expression)
    ended = gdb.parse_and_eval("$_exitcode")  # void after a signal: a PIE that nobody relocated has no pointers
    code = int(ended) if ended.type.code == gdb.TYPE_CODE_INT else None
    answers[number] = {"exit": code, "wrote": wrote, "stops": stops}
with open(os.environ["PROOF"], "w") as out:
    json.dump(answers, out)

"""What a session's trace can tell of functions, and where cprobe would break next."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from bootsonde.model.errors import UserError
from bootsonde.model.place import Functions, Globs, Site
from bootsonde.model.scenario import Rule
from bootsonde.probe import Probe

#: Breakpoints that one `bootsonde next` sets at most.
LIMIT = 40


def _list(globs: Optional[Globs]) -> List[str]:
    return [globs] if isinstance(globs, str) else list(globs or ())


def listed(rules: Sequence[Rule]) -> List[Dict[str, Any]]:
    """The trace header's "listed": the functions of which every entry is recorded, or at least the first one.

    What a condition, a vCPU or a number of hits to pass over hides may have run unseen; so may what is only taken where
    another place is not there.
    """
    return [{"files": _list(rule.place.file), "functions": _list(rule.place.name), "inlined": rule.place.inlined}
            for rule in rules
            if isinstance(rule.place, Functions) and rule.condition is None and rule.vcpu is None and not rule.skip
            and rule.unless is None and rule.outcome != "panic"]


def next_sites(probe: Probe, trace: str, function: Optional[str]) -> List[Site]:
    """cprobe's next list for what the trace has so far. Raises UserError where there is none, and why."""
    words = ["--func", function] if function else []
    answer = probe.ask("next", trace, *words, "--limit", str(LIMIT))
    if not answer.records:
        # That the trace has no end yet is no news here.
        told = [line for line in answer.note.splitlines() if f"{trace}: " not in line]
        raise UserError("\n".join(told) or "cprobe knows nothing to break on next")
    return [Site.from_json(record) for record in answer.records]

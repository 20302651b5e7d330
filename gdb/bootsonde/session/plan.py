"""From a scenario's rules to armed sites: what this kernel has of what the scenario names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from bootsonde.model.errors import UserError
from bootsonde.model.expression import names_in
from bootsonde.model.place import Check, Data, Place, Site, Variable
from bootsonde.model.scenario import Rule
from bootsonde.model.target import check_rule, parse_path
from bootsonde.probe import Answer, Probe
from bootsonde.session.parts import part, watched
from bootsonde.session.points import Armed, arm


@dataclass
class Planned:
    """A rule with its armed sites, for the summary. `title` says which place was taken."""

    rule: Rule
    title: str
    armed: List[Armed]


def _sites(place: Place, answer: Answer) -> List[Site]:
    sites = [Site.from_json(record) for record in answer.records]
    if isinstance(place, Check):
        sites = [site for site in sites if site.kind == "check"]
    # Alternatives are templates that the kernel copies elsewhere; a breakpoint there would never be hit.
    return [site for site in sites if not (site.section or "").startswith(".altinstr")]


class Planner:
    """Asks cprobe, all that is independent at once."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self._variables: Dict[str, Optional[Variable]] = {}

    def variable(self, name: str) -> Optional[Variable]:
        """A kernel variable by name, or a part of one by its path; the first in address order of static twins.

        Raises UserError for a path that leads nowhere in a variable that is there.
        """
        if name not in self._variables:
            path = parse_path(name)
            if path.root not in self._variables:
                self._learn([path.root])
            root = self._variables[path.root]
            self._variables[name] = root if root is None or path.whole else part(root, path, self.probe)
        return self._variables[name]

    def _learn(self, names: List[str], answer: Optional[Answer] = None) -> None:
        for record in (answer or self.probe.ask("symbol", *names)).records:
            if record.get("kind") == "object" and not self._variables.get(record["name"]):
                self._variables[record["name"]] = Variable.from_json(record)
        for name in names:
            self._variables.setdefault(name, None)

    def _data(self, place: Data, answer: Answer) -> List[Site]:
        """What is watched: all variables of the name, static twins too, or that part of each. Raises UserError."""
        path = parse_path(place.name)
        found = [Variable.from_json(record) for record in answer.records if record.get("kind") == "object"]
        if not path.whole:
            found = [part(variable, path, self.probe) for variable in found]
        return [watched(variable) for variable in found]

    def plan(self, rules: List[Rule]) -> Tuple[List[Planned], List[str]]:
        """Armed sites for each rule, and remarks for the user on what this kernel has not.

        Raises UserError if cprobe cannot read the kernel or a condition cannot be had.
        """
        # Names that a condition could mean as variables; parameters among them are only asked for in vain.
        names = sorted({parse_path(name).root for rule in rules for name in rule.variables}
                       | {name for rule in rules if rule.condition for name in names_in(rule.condition)})
        places = list(dict.fromkeys(place for rule in rules for place in (rule.place, rule.otherwise, rule.unless)
                                    if place is not None))
        queries = [place.query() for place in places]
        if names:
            queries.append(["symbol", *names])
        answers = self.probe.ask_all(queries)
        if names:
            self._learn(names, answers.pop())
        sites = {place: (self._data(place, answer) if isinstance(place, Data) else _sites(place, answer), answer.note)
                 for place, answer in zip(places, answers)}
        remarks: List[str] = []
        return [self._plan_rule(rule, sites, remarks) for rule in rules], remarks

    def _plan_rule(self, rule: Rule, sites: Dict[Place, Tuple[List[Site], str]], remarks: List[str]) -> Planned:
        place = rule.place
        found, note = sites[place]
        if rule.unless is not None and sites[rule.unless][0]:
            return Planned(rule, rule.name or str(place), [])
        if not found and rule.otherwise is not None:
            place = rule.otherwise
            found, other_note = sites[place]
            if found or not rule.optional:
                remarks.append(f"this kernel has not {rule.place}; " +
                               (f"taking {place} instead" if found else f"nor has it {place}"))
            note = other_note or note
        elif not found and not rule.optional:
            reason = note.replace("\n", "\n    ")  # of several lines
            remarks.append(f"this kernel has not {place}" + (f": {reason}" if reason else ""))
        copies = sum(site.kind != "function" for site in found)
        if rule.return_value is not None and copies:
            remarks.append(f"{copies} of {len(found)} places of {place} are inlined copies, which have no return: they "
                           "run as ever")
        missing = sorted(name for name in rule.variables if self.variable(name) is None)
        if missing and found:
            remarks.append(f"this kernel has no variable {', '.join(missing)}: nothing is injected at {place}")
        if isinstance(place, Data) and (rule.skipped is not None or rule.return_value is not None or rule.needs_stop):
            raise UserError(f"at a write of {place} there is no instruction ahead that could be skipped, stepped or "
                            "returned from: use scenario.at() for that")
        if missing:
            # Without the variable the rule still shows that its place was reached.
            rule = Rule(rule.place, vcpu=rule.vcpu, skip=rule.skip, limit=rule.limit, optional=rule.optional)
        try:
            check_rule(rule, self.variable)
            armed = [arm(rule, site, self.variable) for site in found]
        except UserError as error:
            raise UserError(f"at {place}: {error}") from None
        return Planned(rule, rule.name or str(place), armed)

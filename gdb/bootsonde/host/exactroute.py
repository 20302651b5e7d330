"""How to get to a place of an exact recording: by QEMU to a count of instructions, from there by GDB to an entry."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from typing import Dict, List, Optional

from bootsonde import places
from bootsonde.host.exactboot import ExactBoot
from bootsonde.model.errors import UserError
from bootsonde.model.exact import Count, Entry, Place, Text, option, parse_place, shown
from bootsonde.model.segments import load_address
from bootsonde.probe import Probe

#: Entries that GDB counts by itself, at 2 ms each.
_MANY = 50
#: What the launcher's icount is where nobody says it: ns an instruction, as a power of 2.
_SHIFT = 3
#: The word for where a trace went another way.
DIVERGENCE = "DIVERGENCE"


@dataclass
class Route:
    """count: of instructions, if neither of the others is given.

    text: of the console. addresses, number: of a function's entries, as in Order; counted: it has so many that the
    plugin is to count those of this name that are passed by. near: about where that is, in instructions; 0: nobody
    knows.
    """

    count: int = 0
    text: Optional[Text] = None
    addresses: Dict[int, bool] = field(default_factory=dict)
    number: int = 1
    counted: Optional[str] = None
    near: int = 0


class Routes:
    """Finds them."""

    def __init__(self, boot: ExactBoot, other: Optional[str]) -> None:
        """other: the trace that DIVERGENCE compares with."""
        self._boot = boot
        self._other = other
        self._probe = Probe(places.cprobe(), boot.boot.symbols)

    def to(self, word: str) -> Route:
        """How to get to a word of --at. Raises UserError for what is not in the recording."""
        places_of_it = [self._divergence()] if word == DIVERGENCE else parse_place(word)
        for place in places_of_it:
            route = self._route(place)
            if route is not None:
                return route
        if any(isinstance(place, Entry) for place in places_of_it):
            raise UserError(f"--at {word}: {os.path.basename(self._symbols)} has no such function, and the console "
                            "never showed that text")
        raise UserError(f"--at {word}: the console never showed that text in this boot")

    def _route(self, place: Place) -> Optional[Route]:
        if isinstance(place, Count):
            end = self._boot.recording.end
            if place.instructions > end:
                raise UserError(f"--at {place.instructions}: the recording ends at instruction {end}")
            return Route(place.instructions)
        if isinstance(place, Text):
            if not shown(place, self._boot.console, self._boot.console):
                return None
            return Route(text=place, near=self._near_text(place))
        return self._way_to(place)

    def _way_to(self, entry: Entry) -> Optional[Route]:
        addresses = self._addresses(entry.function)
        if not addresses:
            return None
        route = Route(addresses=self._load_addresses(addresses), number=entry.number)
        name = self._name(addresses[0])
        if name is None or not self._has_all:
            return route
        events = self._entries(name, f'"address":"{addresses[0]:#x}"')
        if not events and self._is_recorded(name):
            raise UserError(f"--at {entry}: {name} was not entered in this boot: cprobe why "
                            f"{shlex.quote(self._symbols)} {name} {shlex.quote(self._boot.files.trace)} says why")
        if events and len(events) < entry.number:
            raise UserError(f"--at {entry}: {name} is entered {len(events)} times in this boot")
        if entry.number > _MANY and len(self._addresses_of(name)) == 1:
            route.counted = name
            route.near = self._instruction(json.loads(events[entry.number - 1])["t"])
        return route

    @property
    def _symbols(self) -> str:
        return self._boot.boot.symbols

    def _name(self, address: int) -> Optional[str]:
        """The function that begins there, as the trace calls it."""
        (found,) = self._probe.ask("symbolize", f"{address:#x}").records
        if found.get("offset") or found.get("name") in (None, "?"):
            return None
        if not found["name"].startswith(("_Z", "_R")):
            return str(found["name"])
        # C++'s and Rust's functions have their names in the source there.
        rows = map(json.loads, self._cprobe("coverage", self._symbols, self._boot.files.trace))
        return next((str(row["name"]) for row in rows if row.get("kind") == "function"
                     and int(row["address"], 16) == address), None)

    def _addresses_of(self, function: str) -> List[int]:
        return sorted({int(record["address"], 16) for record in self._probe.functions(function)})

    def _instruction(self, t: int) -> int:
        """About how many instructions had run by a time of the trace: fewer by a few, and by what the clock has jumped
        while the guest was idle."""
        shift = re.search(r"shift=(\d+)", option(self._boot.recording.options, "icount") or "")
        return t >> (int(shift[1]) if shift else _SHIFT)

    def _addresses(self, function: str) -> List[int]:
        if function.startswith("0x"):
            return [int(function, 16)]
        found = self._addresses_of(function)
        if len(found) > 1:
            raise UserError(f"--at {function}: this kernel has several, at "
                            f"{', '.join(f'{each:#x}' for each in found)}: give one of the addresses")
        return found

    def _load_addresses(self, addresses: List[int]) -> Dict[int, bool]:
        """With where the code lies before paging: those are physical."""
        info = self._probe.ask("info").records[0]
        loaded = [load_address(info, each) for each in addresses]
        return {**{each: False for each in addresses}, **{each: True for each in loaded if each is not None}}

    @property
    def _has_all(self) -> bool:
        """Whether the trace has each entry of the functions that it has: a session's leaves some out, as does one that
        was cut off."""
        with self._boot.trace() as reader:
            return reader.blocks is not None and reader.end is not None

    def _cprobe(self, *words: str) -> List[bytes]:
        """Records, as lines of JSON."""
        done = subprocess.run([places.cprobe(), *words, "--format", "json"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode not in (0, 1):
            raise UserError(done.stderr.decode("utf-8", "replace").strip())
        return done.stdout.splitlines()

    def _entries(self, name: str, wanted: str) -> List[bytes]:
        """The trace's entries of a function, as lines of JSON: there may be a million, of which one is wanted.

        wanted: what stands in them, and not in those of clones of that name, which cprobe tells too.
        """
        return [line for line in self._cprobe("events", self._boot.files.trace, "--func", name)
                if wanted.encode() in line]

    def _is_recorded(self, name: str) -> bool:
        return any(bool(json.loads(line)["state"] == "not hit")
                   for line in self._cprobe("coverage", self._symbols, self._boot.files.trace, "--func", name))

    def _divergence(self) -> Place:
        """The last step that the boot has in common with another one's trace, before they part."""
        if self._other is None:
            raise UserError("--at DIVERGENCE wants --trace T, the boot that went another way")
        if not os.path.isfile(self._other):
            raise UserError(f"--trace {self._other}: no such trace")
        records = map(json.loads, self._cprobe("diff", self._boot.files.trace, self._other))
        first = next((record for record in records if record["kind"] == "divergence"), None)
        if first is None:
            raise UserError(f"--at DIVERGENCE: {self._other} goes the same way as the recording")
        if not first["before"]:
            return Count(0)
        last = first["before"][-1]
        if first["vcpu"] == "console":
            text = str(last.get("text") or last["name"])
            lines = self._boot.console.decode("utf-8", "replace").split("\n")[:first["step"] - 1]
            return Text(text, max(1, sum(text in line for line in lines)))
        return Entry(last["name"], self._number(last["name"], last["t"]))

    def _number(self, name: str, t: int) -> int:
        """How often a function has been entered at a time."""
        events = self._entries(name, f'"function":{json.dumps(name, ensure_ascii=False)}')
        low, high = 0, len(events)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if json.loads(events[middle])["t"] <= t else (low, middle)
        return low

    def _near_text(self, place: Text) -> int:
        """About how many instructions had run when the console had shown it; 0 where the trace cannot tell."""
        seen = 0
        with self._boot.trace() as reader:
            for event in reader.blocks.console() if reader.blocks is not None else ():
                seen += place.text in event["text"]
                if seen >= place.number:
                    return self._instruction(event["t"])
        return 0

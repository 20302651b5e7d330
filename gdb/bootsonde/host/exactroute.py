"""How to get to a place of an exact recording: by QEMU to a count of instructions, and from there by GDB along entries."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Tuple

from bootsonde import places
from bootsonde.host.exactboot import ExactBoot
from bootsonde.model.errors import UserError
from bootsonde.model.exact import Count, Entry, Place, Text, parse_place, shown
from bootsonde.model.place import load_address
from bootsonde.probe import Probe

#: The word for where a trace went another way.
DIVERGENCE = "DIVERGENCE"


@dataclass
class Route:
    """count: of instructions. text: the count is that at which the console has shown it. entries, physical: as in Order."""

    count: int = 0
    text: Optional[Text] = None
    entries: List[Tuple[List[int], int]] = field(default_factory=list)
    physical: List[int] = field(default_factory=list)


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
            raise UserError(f"--at {word}: {os.path.basename(self._boot.boot.symbols)} has no such function, and the console never "
                            "showed that text")
        raise UserError(f"--at {word}: the console never showed that text in this boot")

    def _route(self, place: Place) -> Optional[Route]:
        if isinstance(place, Count):
            end = self._boot.recording.end
            if place.instructions > end:
                raise UserError(f"--at {place.instructions}: the recording ends at instruction {end}")
            return Route(place.instructions)
        if isinstance(place, Text):
            return Route(text=place) if shown(place, self._boot.console, self._boot.console) else None
        return self._way_to(place)

    def _way_to(self, entry: Entry) -> Optional[Route]:
        addresses = self._addresses(entry.function)
        if not addresses:
            return None
        times = self._times(addresses)
        if times and len(times) < entry.number:
            raise UserError(f"--at {entry}: {entry.function} is entered {len(times)} times in this boot")
        if times == [] and self._is_recorded(addresses):
            raise UserError(f"--at {entry}: {entry.function} was not entered in this boot: cprobe why "
                            f"{shlex.quote(self._boot.boot.symbols)} {entry.function} {shlex.quote(self._boot.files.trace)} says why")
        route = Route()
        number = entry.number
        if times and number > 1:
            # The entry's own count may be large, and GDB takes 2 ms for each: go to something rare before it.
            near_by = self._first_entry_before(times[number - 1], times)
            if near_by is not None:
                route.entries.append((self._load_addresses([near_by[0]], route), 1))
                number -= near_by[1]
        route.entries.append((self._load_addresses(addresses, route), number))
        return route

    def _addresses(self, function: str) -> List[int]:
        if function.startswith("0x"):
            return [int(function, 16)]
        records = self._probe.ask("symbol", function).records
        found = sorted({int(record["address"], 16) for record in records if record["kind"] == "function"})
        if len(found) > 1:
            raise UserError(f"--at {function}: this kernel has several, at {', '.join(f'{each:#x}' for each in found)}: give "
                            "one of the addresses")
        return found

    def _load_addresses(self, addresses: List[int], route: Route) -> List[int]:
        """With where the code lies before paging."""
        info = self._probe.ask("info").records[0]
        loaded = [found for found in (load_address(info, each) for each in addresses) if found is not None]
        route.physical += loaded
        return [*addresses, *loaded]

    @property
    def _has_all(self) -> bool:
        """Whether the trace has each entry of the functions that it has: a session's leaves some out."""
        with open(self._boot.files.trace, "rb") as file:
            return json.loads(file.readline()).get("encoding") == "blocks"

    def _cprobe(self, *words: str) -> Iterator[Dict[str, Any]]:
        done = subprocess.run([places.cprobe(), *words, "--format", "json"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode not in (0, 1):
            raise UserError(done.stderr.decode("utf-8", "replace").strip())
        return (json.loads(line) for line in done.stdout.splitlines())

    def _times(self, addresses: List[int]) -> List[int]:
        """When the function was entered, by the trace; empty where the trace cannot tell."""
        if not self._has_all:
            return []
        record = next(iter(self._probe.ask("symbolize", f"{addresses[0]:#x}").records), {})
        if record.get("offset") or record.get("name") in (None, "?"):
            return []
        return [event["t"] for event in self._cprobe("events", self._boot.files.trace, "--func", record["name"])
                if event.get("kind") == "hit" and int(event["address"], 16) in addresses]

    def _is_recorded(self, addresses: List[int]) -> bool:
        return self._has_all and any(
            record["state"] == "not hit" and int(record["address"], 16) in addresses
            for record in self._cprobe("coverage", self._boot.boot.symbols, self._boot.files.trace))

    def _first_entry_before(self, t: int, times: List[int]) -> Optional[Tuple[int, int]]:
        """A function's address that is first entered shortly before t, and how many of `times` are before that."""
        best: Optional[Tuple[int, int]] = None
        for record in self._cprobe("coverage", self._boot.boot.symbols, self._boot.files.trace):
            first = record.get("first")
            if record["state"] == "hit" and first < t and first not in times and (best is None or first > best[0]):
                best = first, int(record["address"], 16)
        return (best[1], sum(each < best[0] for each in times)) if best is not None else None

    def _divergence(self) -> Place:
        """The last step that the boot has in common with another one's trace, before they part."""
        other = self._other
        if other is None:
            raise UserError("--at DIVERGENCE wants --trace T, the boot that went another way")
        if not os.path.isfile(other):
            raise UserError(f"--trace {other}: no such trace")
        records = list(self._cprobe("diff", self._boot.files.trace, other))
        first = next((record for record in records if record["kind"] == "divergence"), None)
        if first is None:
            raise UserError(f"--at DIVERGENCE: {other} goes the same way as the recording")
        if not first["before"]:
            return Count(0)
        last = first["before"][-1]
        if first["vcpu"] == "console":
            text = str(last.get("text") or last["name"])
            lines = self._boot.console.decode("utf-8", "replace").split("\n")[:first["step"] - 1]
            return Text(text, max(1, sum(text in line for line in lines)))
        times = [event["t"] for event in self._cprobe("events", self._boot.files.trace, "--func", last["name"])
                 if event.get("kind") == "hit"]
        return Entry(last["name"], sum(t <= last["t"] for t in times))

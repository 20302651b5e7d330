"""cprobe's client: questions to a kernel's ELF and DWARF. Used by host and session alike.

Every answer is one line of JSON a record (docs/architecture.md). Questions that do not depend on each other are asked
at the same time, because on a big kernel each costs tens of milliseconds.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any, Dict, List, Optional, Sequence

from bootsonde.model.errors import UserError

#: A question that takes longer is broken; the slowest on a 588 MB kernel takes a tenth of a second.
TIMEOUT_S = 60.0


class Answer:
    """cprobe's answer to one question. `note` is what it said on standard error."""

    def __init__(self, records: List[Dict[str, Any]], note: str) -> None:
        self.records = records
        self.note = note


class Probe:
    """Asks one kernel. `kernel` may be any ELF; cprobe finds its debug file."""

    def __init__(self, cprobe: str, kernel: str) -> None:
        self.cprobe = cprobe
        self.kernel = kernel

    def ask(self, verb: str, *words: str) -> Answer:
        """One question. Raises UserError as ask_all does."""
        return self.ask_all([[verb, *words]])[0]

    def functions(self, name: str) -> List[Dict[str, Any]]:
        """The functions of that name; of C++ and Rust, whose symbols are called otherwise, by the name in the source.

        Raises UserError as ask_all does.
        """
        found = [record for record in self.ask("symbol", name).records if record["kind"] == "function"]
        return found or [record for record in self.ask("list", "--func", name, "--inlined", "exclude").records
                         if ".cold" not in record["name"]]

    def ask_all(self, queries: Sequence[Sequence[str]]) -> List[Answer]:
        """Questions [VERB, WORD...], answered in order; KERNEL is put in after the verb.

        Nothing found is an empty answer. Raises UserError if cprobe cannot read the kernel.
        """
        children: List[subprocess.Popen[bytes]] = []
        answers = []
        try:
            for verb, *words in queries:
                children.append(subprocess.Popen([self.cprobe, verb, self.kernel, *words, "--format", "json"],
                                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                 stderr=subprocess.PIPE))
            for child in children:
                out, err = child.communicate(timeout=TIMEOUT_S)
                note = err.decode("utf-8", "replace").strip()
                if child.returncode not in (0, 1):
                    raise UserError(note or f"{self.cprobe} ended with status {child.returncode}")
                answers.append(Answer([json.loads(line) for line in out.splitlines() if line.strip()], note))
        except OSError as error:
            raise UserError(f"cprobe cannot be started ({error}): $CPROBE names it") from None
        except subprocess.TimeoutExpired:
            raise UserError(f"{self.cprobe} gave no answer on {self.kernel} within {TIMEOUT_S:.0f} s") from None
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        return answers


class Symbolizer:
    """Turns addresses into function+offset, by one cprobe that stays and reads addresses from a pipe."""

    def __init__(self, cprobe: str, kernel: str) -> None:
        self._command = [cprobe, "symbolize", kernel, "--format", "json"]
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._known: Dict[int, Dict[str, Any]] = {}
        self._unread = 0

    def start(self) -> None:
        """Have cprobe read the kernel by now, so that the first question need not wait for that.

        That it cannot be started is Probe's to say.
        """
        if self._child is not None:
            return
        try:
            # Ctrl-C on the terminal is not for it.
            self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL, start_new_session=True)
            assert self._child.stdin is not None
            self._child.stdin.write(b"0\n")
            self._child.stdin.flush()
            self._unread = 1
        except OSError:
            pass

    def look_up(self, address: int) -> Dict[str, Any]:
        """cprobe's record: address, and where known name, offset, file, line."""
        record = self._known.get(address)
        if record is None:
            record = self._known[address] = self._ask(address)
        return record

    def describe(self, address: int, shown: Optional[int] = None) -> str:
        """function+0xOFFSET, or the bare address; the offset is that of `shown`, if given."""
        shown = address if shown is None else shown
        record = self.look_up(address)
        name, offset = record.get("name"), record.get("offset", 0) + shown - address
        if not name or name == "?":
            return f"{shown:#x}"
        return f"{name}+{offset:#x}" if offset else str(name)

    def _ask(self, address: int) -> Dict[str, Any]:
        unknown = {"address": f"{address:#x}"}
        self.start()
        if self._child is None:
            return unknown
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            while self._unread:
                self._child.stdout.readline()
                self._unread -= 1
            self._child.stdin.write(f"{address:#x}\n".encode())
            self._child.stdin.flush()
            line = self._child.stdout.readline()
            record = json.loads(line)
        except (OSError, ValueError):
            return unknown
        return record if isinstance(record, dict) else unknown

    def close(self) -> None:
        """End the cprobe."""
        if self._child is not None:
            assert self._child.stdin is not None and self._child.stdout is not None
            try:
                self._child.stdin.close()
            except OSError:
                pass
            self._child.stdout.close()
            self._child.wait()
            self._child = None

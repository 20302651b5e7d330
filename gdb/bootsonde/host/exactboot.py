"""An exact recording that is there, whole, and of the kernel and the QEMU that are here: what can be replayed."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator, Optional, Sequence

from bootsonde.host.identity import file_hash, qemu_version, sha256
from bootsonde.host.request import BootRequest
from bootsonde.model.errors import UserError
from bootsonde.model.exact import FILES, Files, Recording, far, option, with_paths
from bootsonde.model.trace import TraceError, TraceReader


class ExactBoot:
    """An exact recording whose parts have been looked at: they are what was recorded."""

    def __init__(self, baseline: str, kernel: Optional[str], symbols: Optional[str], given: Sequence[str]) -> None:
        """kernel, symbols: where they are by now, if not where they were. given: other options of the guest, as words.

        Raises UserError for what is not as it was.
        """
        self.files = Files(os.path.abspath(baseline))
        self.folder = os.path.dirname(self.files.baseline)
        self.recording = Recording.load(self.files.facts)
        self._check_log()
        self._check_options(given)
        self.boot = self._checked_boot(kernel, symbols)
        self._check_qemu()
        with open(self.files.console, "rb") as file:
            self.console = file.read()

    @contextlib.contextmanager
    def trace(self) -> Iterator[TraceReader]:
        """What the boot did, for the time of reading. Raises UserError for a trace that is damaged."""
        try:
            with open(self.files.trace, "rb") as stream:
                yield TraceReader(stream, self.files.trace)
        except TraceError as error:
            raise UserError(f"{error}: record it again") from None

    def _check_log(self) -> None:
        log, wanted = self.files.log, self.recording
        if not os.path.isfile(log):
            raise UserError(f"{log} is not there, which is QEMU's log of this boot: record it again")
        size = os.path.getsize(log)
        if size < wanted.log_size:
            raise UserError(f"{log} is cut off: it has {size} bytes of {wanted.log_size}: record it again")
        if size != wanted.log_size or file_hash(log) != wanted.sha256.get("log"):
            raise UserError(f"{log} is not the log that {self.files.facts} describes: record it again")
        for path in (self.files.trace, self.files.console):
            if not os.path.isfile(path):
                raise UserError(f"{path} is not there, a part of this recording: record it again")

    def _checked_boot(self, kernel: Optional[str], symbols: Optional[str]) -> BootRequest:
        recording = self.recording
        kernel = os.path.abspath(kernel) if kernel else far(recording.kernel, self.folder)
        symbols = os.path.abspath(symbols) if symbols else \
            kernel if recording.symbols == recording.kernel else far(recording.symbols, self.folder)
        files = [("kernel", recording.kernel, kernel)]
        files += [("symbols", recording.symbols, symbols)] if recording.symbols != recording.kernel else []
        files += [("disk", recording.disk, far(recording.disk, self.folder))] if recording.disk else []
        for name in FILES:
            path = option(recording.options, name)
            files += [(name, path, far(path, self.folder))] if path is not None else []
        for name, recorded, path in files:
            self._check_file(name, recorded, path)
        return BootRequest(kernel, symbols, far(recording.disk, self.folder) if recording.disk else None,
                           [*with_paths(recording.options, lambda path: far(path, self.folder)),
                            "--rr", f"replay:{self.files.log}"], recording.qemu_args)

    def _check_file(self, name: str, recorded: str, path: str) -> None:
        hint = f"--{name} says where it is now" if name in ("kernel", "symbols") else "put it back"
        if not os.path.isfile(path):
            raise UserError(f"the recording's {name} {path} is not there: {hint}")
        if sha256(path) != self.recording.sha256.get(recorded):
            build_id = f" (build-id {self.recording.build_id})" if name == "kernel" and self.recording.build_id else ""
            raise UserError(f"{path} is not the {name} that was recorded{build_id}: a log replays what it is of alone; "
                            f"{hint}, or record this one")

    def _check_options(self, given: Sequence[str]) -> None:
        """A replay is of the same guest: what is given must be what was recorded."""
        for word, value in zip(given, given[1:]):
            name = word[2:]
            if word.startswith("--") and option(self.recording.options, name) != value:
                was = option(self.recording.options, name)
                raise UserError(f"{word} {value}: the boot was recorded "
                                + (f"with {word} {was}" if was is not None else f"without {word}")
                                + ", and a replay is of the same guest: leave it out, or record anew")

    def _check_qemu(self) -> None:
        qemu = os.environ.get("QEMU") or "qemu-system-x86_64"
        version = qemu_version(qemu)
        if version is not None and version != self.recording.qemu:
            raise UserError(f"this was recorded with QEMU {self.recording.qemu}, and {qemu} is {version}, which takes "
                            "another way: name the same version in $QEMU, or record anew")

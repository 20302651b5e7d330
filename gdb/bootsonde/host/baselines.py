"""Baseline files: read, and written so that nobody's work is lost; and what cprobe makes of traces."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import subprocess
import time
from typing import List, Optional, Tuple

from bootsonde import places
from bootsonde.model.baseline import Baseline, read_baseline
from bootsonde.model.errors import UserError

#: What a baseline's file ends with.
SUFFIX = ".baseline"
#: Bytes of a file above which it is none; cprobe's limit.
_LARGEST = 256 << 20
#: How long another may take to put its file in place, and cprobe to read traces; seconds.
_LOCK_S, _CPROBE_S = 10.0, 600.0


def load(path: str) -> Baseline:
    """Read a baseline. Raises UserError."""
    return read_baseline(text_of(path), path)


def text_of(path: str) -> str:
    """A baseline's text. Raises UserError."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is {'a folder' if os.path.isdir(path) else 'a device'}, and a baseline is a file")
        if status.st_size > _LARGEST:
            raise UserError(f"{path}: {status.st_size} bytes are too many for a baseline: it may have {_LARGEST}")
        with open(path, "rb") as file:
            data = file.read()
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise UserError(f"{path}:{line}: a byte {byte:#04x} that is no UTF-8: write it as \\x{byte:02x}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: bootsonde record makes a baseline") from None


def _present(path: str) -> Optional[str]:
    return text_of(path) if os.path.lexists(path) else None


def publish(path: str, text: str, before: Optional[str]) -> None:
    """Write a baseline, whole or not at all, in the place of the text `before`, or of none.

    Raises UserError where something else stands there by now: somebody was faster.
    """
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with contextlib.ExitStack() as stack:
            with open(part, "x", encoding="utf-8", newline="") as file:
                stack.callback(_remove, part)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            stack.callback(os.close, _locked(folder))
            if _present(path) != before:
                raise UserError(f"{path} was {'made' if before is None else 'changed'} by somebody else meanwhile, and "
                                "is left as it is: run again")
            if before is not None:
                os.chmod(part, os.stat(path).st_mode & 0o777)
            os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _locked(folder: str) -> int:
    """A descriptor that keeps others from putting files in place here, until it is closed."""
    descriptor = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise UserError(f"{folder} is locked by somebody for {_LOCK_S:.0f} s: run again") from None
            time.sleep(0.01)


def cprobe(*words: str) -> Tuple[int, str, str]:
    """cprobe's exit status, output and messages. Raises UserError where it cannot answer, by its own words."""
    command: List[str] = [places.cprobe(), *words]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=_CPROBE_S, check=False)
    except OSError as error:
        raise UserError(f"cprobe cannot be started ({error}): $CPROBE names it") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"cprobe {words[0]} did not end within {_CPROBE_S:.0f} s") from None
    out, said = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace").strip()
    if done.returncode not in (0, 1):
        raise UserError(said or f"cprobe {words[0]} ended with status {done.returncode}")
    return done.returncode, out, said

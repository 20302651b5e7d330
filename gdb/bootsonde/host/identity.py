"""What a trace's header says about kernel and QEMU."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from typing import Any, Callable, Dict, Optional

from bootsonde.model.errors import UserError
from bootsonde.probe import Probe


def _cache_file() -> str:
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bootsonde", "files.json")


def _remembered(what: str, path: str, find: Callable[[str], Optional[str]]) -> Optional[str]:
    """What `find` says of a file. It is asked once: the answer is kept with the file's size and time of change."""
    status = os.stat(path)
    name = f"{what}|{os.path.realpath(path)}|"
    key = f"{name}{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
    known: Dict[str, str] = {}
    try:
        with open(_cache_file(), encoding="utf-8") as file:
            known = json.load(file)
        if isinstance(known.get(key), str):
            return known[key]
    except (OSError, ValueError, AttributeError):
        known = {}
    found = find(path)
    if found is None:
        return None
    known = {other: value for other, value in list(known.items())[-200:] if not other.startswith(name)}
    known[key] = found
    try:
        os.makedirs(os.path.dirname(_cache_file()), exist_ok=True)
        part = f"{_cache_file()}.{os.getpid()}"
        with open(part, "w", encoding="utf-8") as file:
            json.dump(known, file)
        os.replace(part, _cache_file())
    except OSError:
        pass  # A cache that cannot be kept costs time, nothing else.
    return found


def file_hash(path: str) -> str:
    """A file's hash, for one that is not worth keeping the answer of."""
    import hashlib  # Not at the top: it takes longer to load than what is remembered to be read.
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def sha256(path: str) -> str:
    """A file's hash. Raises OSError."""
    return _remembered("sha256", path, file_hash) or ""


def _shown_version(qemu: str) -> Optional[str]:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        shown = subprocess.run([qemu, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                               errors="replace", stderr=subprocess.DEVNULL, timeout=10, check=False).stdout.split()
        return shown[shown.index("version") + 1] if "version" in shown[:-1] else None
    return None


def qemu_version(qemu: str) -> Optional[str]:
    """A QEMU's version, such as 7.2.22; None where it does not tell. A script may start another one each time, and is
    asked each time."""
    path = shutil.which(qemu)
    try:
        with open(path or "", "rb") as file:
            is_program = file.read(4) == b"\x7fELF"
    except OSError:
        return None
    return _remembered("version", path or "", _shown_version) if is_program else _shown_version(qemu)


def build_id(cprobe: str, path: str) -> Optional[str]:
    """A kernel's build-id; None for what has none, or is no ELF."""
    try:
        records = Probe(cprobe, path).ask("info").records
    except UserError:
        return None
    return records[0].get("build_id") if records else None


def kernel_identity(cprobe: str, path: str, symbols: str) -> Dict[str, Any]:
    """The header's `kernel`. What is no ELF has no build-id of its own, and gets that of `symbols`, which names its
    functions."""
    return {"name": os.path.basename(path), "build-id": build_id(cprobe, path) or build_id(cprobe, symbols),
            "sha256": sha256(path)}

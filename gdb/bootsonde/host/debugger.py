"""GDB for one run."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import List

from bootsonde import places
from bootsonde.host.request import RunRequest
from bootsonde.model.config import SESSION_VARIABLE, SET_VARIABLE
from bootsonde.model.errors import UserError


def _gdb_command(request: RunRequest) -> List[str]:
    """GDB for a run: a person's own GDB, with its settings, or one that reads nothing but the session's script."""
    if request.prompt:
        return [os.environ.get("GDB") or "gdb", "-q", "-ex", f"source {request.scenario}"]
    return [os.environ.get("GDB") or "gdb", "-nx", "-nh", "-q", "-batch", "-iex", "set osabi none",
            "-iex", "set auto-load off", "-x",
            places.package_file("session", "headless.py")]


class Debugger:
    """GDB with a scenario. A context manager: after it GDB is gone."""

    def __init__(self, request: RunRequest, config_path: str, log: str, output: int) -> None:
        """log: takes what GDB says by itself. output: the descriptor on which the session speaks to the user."""
        environment = {**os.environ, SESSION_VARIABLE: config_path, "BOOTSONDE_SCENARIO": request.scenario}
        if request.settings:
            environment[SET_VARIABLE] = " ".join(shlex.quote(f"{name}={text}")
                                                 for name, text in request.settings.items())
        try:
            with open(log, "wb") as chatter:
                stdin, out = (None, None) if request.prompt else (subprocess.DEVNULL, chatter)
                self.process = subprocess.Popen(_gdb_command(request), stdin=stdin, stdout=out, stderr=out,
                                                pass_fds=(output,), env=environment)
        except OSError as error:
            raise UserError(f"GDB cannot be started ({error}): install gdb or name one in $GDB") from None

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

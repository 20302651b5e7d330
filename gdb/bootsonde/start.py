"""Where a scenario file's last line leads: to this GDB's session, or to the host.

Stands above all rooms, and imports them only when it is called: inside GDB there is no host, outside no session.
"""

from __future__ import annotations

import os
import sys

from bootsonde.model import scenario as model_scenario
from bootsonde.model.config import SESSION_VARIABLE, SessionConfig


class Scenario(model_scenario.Scenario):
    """A scenario that can be started."""

    def start(self) -> None:
        """Run: in this GDB if there is one around us, else headless, as `bootsonde run` does."""
        # Outside GDB a folder named gdb/ may pass for an empty module of that name.
        if not hasattr(sys.modules.get("gdb"), "execute"):
            from bootsonde.host.main import main
            sys.exit(main(["run", self.file, *sys.argv[1:]]))
        config = SessionConfig.load(os.environ[SESSION_VARIABLE]) if SESSION_VARIABLE in os.environ else None
        if config is not None and config.headless:
            from bootsonde.session import headless
            headless.run(self, config)
        else:
            # All but interactive define GDB's commands and how it prints.
            from bootsonde.session import commands, interactive, orders, printers, questions  # noqa: F401
            interactive.run(self, config)

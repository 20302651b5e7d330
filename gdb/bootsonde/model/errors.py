"""The one exception a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave or asked for cannot be had. The text says what, and what to do.

    Outside GDB it ends the command with exit code 2; inside GDB it becomes a gdb.GdbError.
    """

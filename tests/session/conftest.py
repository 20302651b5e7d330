"""Runs of bootsonde on the reference guest; what they share with other rooms is in tests/labkit.py."""

from __future__ import annotations

from labkit import WATCH, Done, Lab, open_lab, wait_for

__all__ = ["WATCH", "Done", "Lab", "open_lab", "wait_for"]

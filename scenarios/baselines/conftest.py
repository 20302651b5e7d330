"""The baselines here are tests: `pytest scenarios/baselines --bootsonde-kernel K`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdb"))


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """The plugin, with its options."""
    pluginmanager.import_plugin("bootsonde.pytest_plugin")

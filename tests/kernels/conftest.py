"""Real kernels, and what to expect of any."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetched import fetched

#: What lets Debian's kernel boot the same on a loaded machine, at the addresses of its ELF file.
DEBIAN_APPEND = "console=ttyS0 nokaslr tsc_early_khz=2000000"
#: How far it comes without a disk.
NO_ROOT = "Unable to mount root"


@pytest.fixture(scope="session")
def debian() -> Path:
    """The folder with Debian's vmlinux and vmlinuz."""
    return fetched("debian-kernel")

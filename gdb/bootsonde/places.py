"""Where the project's own files are, in a checkout and when installed; and which kernel is meant.

Used by host and session alike; imports only model.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Optional, Tuple

from bootsonde.model.config import read_conf
from bootsonde.model.errors import UserError

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
#: The checkout's root, or a folder that is none when the package is installed.
CHECKOUT = os.path.dirname(os.path.dirname(_PACKAGE))

#: Where a kernel may be named.
CONF_OF_FOLDER = "./bootsonde.conf"


def _build_folder() -> str:
    return os.environ.get("BOOTSONDE_BUILD", os.path.join(CHECKOUT, "build"))


def shared_file(*parts: str) -> str:
    """A file that ships with bootsonde, such as launch/microvm_debug.sh. Raises UserError if it is not there."""
    candidates = [os.path.join(root, *parts)
                  for root in (CHECKOUT, os.path.join(sys.prefix, "share", "bootsonde"), "/usr/local/share/bootsonde")]
    for path in candidates:
        if os.path.exists(path):
            return path
    raise UserError(f"{os.path.join(*parts)} is not there (looked at {', '.join(candidates)}): reinstall bootsonde")


def package_file(*parts: str) -> str:
    """A file of this Python package, such as session/headless.py, which GDB executes by its path."""
    return os.path.join(_PACKAGE, *parts)


def cprobe() -> str:
    """The cprobe command: $CPROBE, the checkout's build, PATH. Raises UserError if there is none."""
    own = os.path.join(_build_folder(), "cprobe", "cprobe")
    path = os.environ.get("CPROBE") or (own if os.access(own, os.X_OK) else shutil.which("cprobe"))
    if path is None:
        raise UserError(f"cprobe is not built: meson setup build && meson compile -C build in {CHECKOUT}")
    return path


def host_tsc() -> str:
    """The program that tells this host's TSC frequency: the checkout's build, else beside cprobe where it is installed.

    It need not be there.
    """
    name = "bootsonde-host-tsc"
    own = os.path.join(_build_folder(), "cprobe", "tcg", name)
    return own if os.access(own, os.X_OK) else shutil.which(name) or os.path.join(os.path.dirname(cprobe()), name)


def tcg_plugin() -> str:
    """The QEMU plugin: the checkout's build, else beside the libraries. Raises UserError if there is none."""
    candidates = [os.path.join(_build_folder(), "cprobe", "tcg", "bootsonde-tcg.so"),
                  *(os.path.join(root, "lib", "bootsonde", "bootsonde-tcg.so") for root in (sys.prefix, "/usr/local"))]
    for path in candidates:
        if os.path.exists(path):
            return path
    raise UserError(f"the QEMU plugin is not built: meson setup build && meson compile -C build in {CHECKOUT}")


def reference_guest() -> str:
    """The kernel that demo and tests boot."""
    return os.path.join(_build_folder(), "guest", "clockguest")


def default_kernel() -> Tuple[str, str]:
    """The kernel when none was named, and a word on where it comes from.

    $BOOTSONDE_KERNEL, else ./bootsonde.conf, else the reference guest. Raises UserError if the last is not built.
    """
    kernel: Optional[str] = os.environ.get("BOOTSONDE_KERNEL")
    if kernel:
        return kernel, "$BOOTSONDE_KERNEL"
    kernel = read_conf("bootsonde.conf").get("kernel")
    if kernel:
        return kernel, CONF_OF_FOLDER
    kernel = reference_guest()
    if not os.path.exists(kernel):
        raise UserError(f"no kernel named and the reference guest is not built ({kernel}): give --kernel, or "
                        "meson setup build && meson compile -C build")
    return kernel, "the reference guest"

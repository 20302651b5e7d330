"""A matrix file: each of the boots that it asks for is one replay of a baseline.

Lines KEY = VALUE; a key that comes again has several values, and all combinations are booted. Keys: kernel, symbols and
the launcher's options that a baseline may have.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import Dict, List

from bootsonde.model.baseline import FILES, OPTIONS, read_pairs
from bootsonde.model.errors import UserError

#: More boots than anybody waits for.
_LIMIT = 10_000
_PATHS = ("kernel", "symbols", *FILES)


@dataclass(frozen=True)
class Row:
    """One combination. values: by key; files by absolute paths. name: as in a test's id, such as
    kernel=clockguest,smp=2."""

    name: str
    values: Dict[str, str]


def read_matrix(text: str, path: str) -> List[Row]:
    """The combinations, in the order of the file, the last key's values changing fastest.

    Files are relative to the matrix's folder. Raises UserError with file and line.
    """
    axes: Dict[str, List[str]] = {}
    for number, key, value in read_pairs(text, path):
        if key not in ("kernel", "symbols", *OPTIONS):
            raise UserError(f"{path}:{number}: no {key!r}: a matrix has {', '.join(('kernel', 'symbols', *OPTIONS))}")
        if not value and key != "append":
            raise UserError(f"{path}:{number}: {key} has no value")
        if value in axes.setdefault(key, []):
            raise UserError(f"{path}:{number}: {key} = {value} is there twice")
        axes[key].append(value)
    if not axes:
        raise UserError(f"{path}: the matrix is empty: lines such as smp = 2 are expected")
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > _LIMIT:
        raise UserError(f"{path}: {count:,} combinations, and more than {_LIMIT:,} cannot be meant")
    folder = os.path.dirname(os.path.abspath(path))
    return [_row(dict(zip(axes, values)), axes, folder) for values in itertools.product(*axes.values())]


def _row(values: Dict[str, str], axes: Dict[str, List[str]], folder: str) -> Row:
    names = []
    for key, value in values.items():
        if key in _PATHS:
            values[key] = os.path.normpath(os.path.join(folder, os.path.expanduser(value)))
            short = [os.path.basename(each) for each in axes[key]]
            value = value if len(set(short)) < len(short) else os.path.basename(value)
        names.append(f"{key}={value}")
    return Row(",".join(names), values)

"""Conditions over a kernel's variables, for a GDB that has read no symbols.

`tsc_freq == 0 && $rdi != 0` becomes an expression that GDB evaluates without a symbol table: a variable turns into a
cast of its address, a parameter into its register.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Mapping, Optional

from bootsonde.model.errors import UserError
from bootsonde.model.place import Variable

_TOKEN = re.compile(r"\$?[A-Za-z_]\w*|0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*|'(?:\\.|[^'\\])'|\s+|.", re.DOTALL)
_C_WORDS = frozenset("char short int long unsigned signed sizeof void const volatile".split())
_TYPES = {1: "char", 2: "short", 4: "int", 8: "long"}


def c_type(variable: Variable) -> str:
    """A C type of the variable's size and sign. Raises UserError for what is no scalar."""
    if variable.size not in _TYPES:
        raise UserError(f"{variable.name} has {variable.size} bytes: conditions and injections take 1, 2, 4 or 8")
    return f"{'signed' if variable.signed else 'unsigned'} {_TYPES[variable.size]}"


def c_cast(variable: Variable) -> str:
    """A C expression for the variable's value. Raises UserError for what is no scalar."""
    return f"(*({c_type(variable)} *){variable.address:#x})"


def resolve(expression: str, registers: Mapping[str, str], lookup: Callable[[str], Optional[Variable]]) -> str:
    """Replace parameters (name -> GDB register) and variables (found by `lookup`) in a C expression.

    Raises UserError, naming the identifier, if a name is neither.
    """
    out = []
    for token in _TOKEN.findall(expression):
        if not re.match(r"[A-Za-z_]", token) or token in _C_WORDS:
            out.append(token)
        elif token in registers:
            out.append(f"${registers[token]}")
        else:
            variable = lookup(token)
            if variable is None:
                raise UserError(f"{expression!r}: {token} is neither a variable of this kernel nor a parameter here")
            out.append(c_cast(variable))
    return "".join(out)


@dataclass(frozen=True)
class Change:
    """The bits of a variable before and after a write; `old` is None if they could not be read then."""

    old: Optional[int]
    new: int


def cast_change(expression: str, variable: Variable) -> str:
    """Give $old and $new the type of the variable that is written."""
    return "".join(f"(({c_type(variable)}){token})" if token in ("$old", "$new") else token
                   for token in _TOKEN.findall(expression))


def with_change(expression: str, change: Optional[Change]) -> str:
    """Put the values in place of $old and $new; an old value that nobody knows is taken to be 0."""
    if change is None:
        return expression
    values = {"$old": change.old or 0, "$new": change.new}
    return "".join(f"{values[token]:#x}" if token in values else token for token in _TOKEN.findall(expression))


def names_in(expression: str) -> list[str]:
    """The names in an expression: variables, and parameters where the site has such."""
    return [token for token in _TOKEN.findall(expression)
            if re.match(r"[A-Za-z_]", token) and token not in _C_WORDS]

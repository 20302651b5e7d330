"""Make the table behind `cprobe --help` from the man page: help.py cprobe.1 help_text.c

It knows the mdoc(7) macros that the sections it takes use, and fails on any other.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

WIDTH = 96
#: Macros after which words are as they are.
PLAIN = {"Ar", "Cm", "Nm", "Ev", "Pa", "Sx"}
PUNCTUATION = {".", ",", ";", ":", ")", "?", "!"}


def unescape(text: str) -> str:
    """roff's escapes: zero width, double quote, backslash."""
    return text.replace("\\&", "").replace("\\(dq", '"').replace("\\e", "\\")


def inline(line: str) -> str:
    """One macro line, such as `Op Fl -file Ar GLOB`, as text."""
    out: list[str] = []
    glue = False
    words = line.split()
    macro, close = "", ""
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word in PLAIN or word in {"Fl", "Op", "Pq", "Ql", "Xr"}:
            macro = word
            if word == "Nm" and (index == len(words) or words[index] in PUNCTUATION):
                out.append("cprobe")
            if word == "Xr":
                out.append(f"{words[index]}({words[index + 1]})")
                index += 2
            if word in {"Op", "Pq"}:
                close = "]" if word == "Op" else ")"
                out.append("[" if word == "Op" else "(")
                glue = True
            if word == "Ql":
                rest = words[index:]
                tail = rest.pop() if rest and rest[-1] in PUNCTUATION else ""
                out.append(f'"{unescape(" ".join(rest))}"{tail}')
                index = len(words)
            continue
        if word == "Ns":
            macro, glue = "", True
            continue
        text = unescape(word)
        if close and word in PUNCTUATION and index == len(words):  # It stands behind what it ends.
            out[-1] += close + text
            close = ""
            continue
        if macro == "Fl" and text != "|" and text not in PUNCTUATION:
            text = "-" + text
        if out and (glue or (word in PUNCTUATION and not close)):
            out[-1] += text
        else:
            out.append(text)
        glue = False
    return " ".join(out) + close


class Page:
    """The page's sections: (SECTION, SUBSECTION or "") to their source lines."""

    def __init__(self, source: str) -> None:
        self.sections: dict[tuple[str, str], list[str]] = {}
        section = subsection = ""
        for line in source.splitlines():
            if line.startswith('.\\"'):
                continue
            if line.startswith(".Sh "):
                section, subsection = line[4:], ""
            elif line.startswith(".Ss "):
                subsection = line[4:]
            else:
                self.sections.setdefault((section, subsection), []).append(line)

    def usages(self) -> dict[str, str]:
        """Of each verb, by SYNOPSIS."""
        ret: dict[str, list[str]] = {}
        verb = ""
        for line in self.sections["SYNOPSIS", ""]:
            if line == ".Nm":
                verb = ""
            elif not verb and line.startswith(".Cm "):
                verb = line[4:]
                ret[verb] = ["cprobe", verb]
            elif verb and line != ".Op Ar options":
                ret[verb].append(inline(line[1:]))
        return {verb: " ".join(words) for verb, words in ret.items()}

    def render(self, section: str, subsection: str = "") -> str:
        """One section as text of lines."""
        out: list[str] = []
        words: list[str] = []
        literal = False
        indent = ""

        def flush() -> None:
            if words:
                out.extend(textwrap.wrap(" ".join(words), WIDTH, initial_indent=indent, subsequent_indent=indent,
                                         break_on_hyphens=False, break_long_words=False))
                words.clear()

        for line in self.sections[section, subsection]:
            macro = line[1:3] if line.startswith(".") and not literal else ""
            if line == ".Ed":
                literal = False
            elif literal:
                out.append("    " + unescape(line))
            elif macro in {"Bd", "Pp", "Bl", "It", "El"}:
                flush()
                literal = macro == "Bd"
                if macro == "Pp" and out and out[-1]:
                    out.append("")
                if macro == "It":
                    out.append("  " + inline(line[4:]))
                indent = "        " if macro in {"Bl", "It"} else ""
            elif macro:
                if macro not in PLAIN | {"Fl", "Op", "Pq", "Ql", "Xr"}:
                    raise SystemExit(f"help.py: {section} {subsection}: unknown macro: {line}")
                words.append(inline(line[1:]))
            else:
                words.append(unescape(line))
        flush()
        return "\n".join(out) + "\n"

    def verbs(self) -> list[str]:
        return [subsection for section, subsection in self.sections if section == "VERBS" and subsection]


def c_string(text: str) -> str:
    """A C string literal, a source line for each line."""
    lines = []
    for line in text.splitlines(keepends=True):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'"{escaped}"')
    return "\n\t\t".join(lines) or '""'


def common(page: Page) -> str:
    return page.render("OPTIONS OF EVERY VERB") + "\nExit status:\n" + page.render("EXIT STATUS")


def table(page: Page) -> str:
    """The C source."""
    usages = page.usages()
    rows = [("", "", page.render("DESCRIPTION"))]
    for verb in page.verbs():
        text = page.render("VERBS", verb)
        rows.append((verb, usages[verb], text))
    body = "".join(f"\t{{ {c_string(name)}, {c_string(usage)},\n\t\t{c_string(text)} }},\n"
                   for name, usage, text in rows)
    return '/* Made by help.py from cprobe.1. */\n#include "command/help.h"\n\n' \
           f"const struct cp_help cp_helps[] = {{\n{body}\t{{ NULL, NULL, NULL }},\n}};\n\n" \
           f"const char cp_help_common[] =\n\t\t{c_string(common(page))};\n"


def main() -> None:
    source, output = sys.argv[1:]
    text = table(Page(Path(source).read_text(encoding="utf-8")))
    if re.search(r"\\[^\"\\n]", text):
        raise SystemExit(f"help.py: {source}: an escape that is not known here")
    Path(output).write_text(text, encoding="utf-8")


main()

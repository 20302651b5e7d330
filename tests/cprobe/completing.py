"""What bash and zsh offer at the end of a command line, with the project's completions."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Optional

import pexpect
import pytest

BASH = r"""
source %s
COMP_WORDS=(%s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
_cprobe cprobe
((${#COMPREPLY[@]} == 0)) || printf '%%s\n' "${COMPREPLY[@]}"
"""

#: Every match that is offered goes to the file, then is offered.
ZSH = r"""
PS1='ready> '; PS2=; unsetopt beep; LISTMAX=10000
fpath=({folder} $fpath)
autoload -Uz compinit; compinit -u -d {cwd}/dump
zstyle ':completion:*' menu no
compadd() {{
    if [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
    local -a hits; builtin compadd -A hits "$@"
    (( $#hits )) && print -rl -- $hits >>{cwd}/hits
    builtin compadd "$@"
}}
"""


class Bash:
    """bash's programmable completion, called as readline would; words that it cuts at "=" are given cut."""

    def __init__(self, root: Path, cwd: Path) -> None:
        self.script = root / "cprobe" / "command" / "completion" / "cprobe.bash"
        self.cwd = cwd
        if not shutil.which("bash"):
            pytest.skip("no bash on this machine")

    def offers(self, *words: str) -> set[str]:
        script = BASH % (shlex.quote(str(self.script)), shlex.join(["cprobe", *words]))
        done = subprocess.run(["bash", "--norc", "-c", script], cwd=self.cwd, capture_output=True, text=True,
                              timeout=20, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return set(done.stdout.splitlines())


class Zsh:
    """An interactive zsh on a terminal of its own, in which Tab is pressed."""

    def __init__(self, root: Path, cwd: Path) -> None:
        if not shutil.which("zsh"):
            pytest.skip("no zsh on this machine")
        self.cwd = cwd
        folder = root / "cprobe" / "command" / "completion"
        (cwd / "setup.zsh").write_text(ZSH.format(folder=shlex.quote(str(folder)), cwd=shlex.quote(str(cwd))))
        self.child: Optional[pexpect.spawn] = None

    def __enter__(self) -> Zsh:
        self.child = pexpect.spawn("zsh", ["-f", "-i"], cwd=str(self.cwd), timeout=30, dimensions=(50, 200),
                                   env={"PATH": "/usr/bin:/bin:/usr/local/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8",
                                        "HOME": str(self.cwd)})
        self.child.sendline(f". {self.cwd}/setup.zsh; print set''up")
        self.child.expect("setup\r?\n")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.child is not None
        self.child.close(force=True)

    def offers(self, *words: str) -> set[str]:
        assert self.child is not None
        hits = self.cwd / "hits"
        hits.unlink(missing_ok=True)
        self.child.send(" ".join(["cprobe", *words]) + "\t\x15")
        self.child.sendline("print do''ne")
        self.child.expect("done\r?\n")
        return set(hits.read_text().splitlines()) if hits.exists() else set()

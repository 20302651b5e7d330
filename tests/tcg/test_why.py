"""cprobe why on what the plugin recorded of the reference guest: why was my breakpoint never hit?"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from .conftest import Plugin


def why(plugin: Plugin, function: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([plugin.cprobe, "why", plugin.lab.kernel, function, plugin.out, *words], capture_output=True,
                          text=True, timeout=20, check=False)


def record(plugin: Plugin) -> None:
    """Boot with all functions; the header says so, whatever this plugin's own does."""
    done = plugin.boot(f",kernel={plugin.lab.kernel},out={plugin.out}")
    assert done.status == 33, done
    header, rest = plugin.out.read_bytes().split(b"\n", 1)
    plugin.out.write_bytes(json.dumps({**json.loads(header), "listed": {"files": [], "functions": []}}).encode() + b"\n"
                           + rest)


def reasons(plugin: Plugin, function: str) -> list[dict[str, Any]]:
    done = why(plugin, function, "--format", "json")
    assert done.returncode == 0, done.stderr
    place, = [json.loads(line) for line in done.stdout.splitlines()]
    return list(place["reasons"])


def test_pvclock_under_tcg(plugin: Plugin) -> None:
    """The porter's question: the driver's table, the method that ran and returned early, and the test in it."""
    record(plugin)
    reason, = reasons(plugin, "pvclock_init")
    assert [link["name"] for link in reason["chain"]] == ["kvm_clock_identify", "kvm_clock_methods", "kvm_clock_attach",
                                                          "pvclock_init"]
    assert [(m["name"], m["state"]) for m in reason["methods"]] == [
        ("kvm_clock_identify", "ran"), ("kvm_clock_probe", "did not run"), ("kvm_clock_attach", "did not run")]
    tests = reason["tests"]
    assert (tests[0]["condition"], tests[0]["source"]) == ("vm_guest == 5", "variable")
    assert [t["source"] for t in tests][-2:] == ["cpu", "returned"]
    assert tests[-2]["condition"] == "(cpuid(0x40000001).eax & 9) != 0" and tests[-2]["held"] is False
    words = why(plugin, "pvclock_init").stdout
    assert "kvm_clock_identify returned without calling BUS_ADD_CHILD" in words
    # Both callers of the reader of the clock's frequency, each with its own test.
    frequency = reasons(plugin, "pvclock_tsc_freq")
    assert [r["chain"][0]["name"] for r in frequency] == ["selftest_run", "probe_tsc_freq"]
    assert [t.get("held") for t in frequency[1]["tests"]] == [True, False]
    assert "ran once" in why(plugin, "tsc_init").stdout

"""The baselines that ship with bootsonde hold for the reference guest of this build."""

from __future__ import annotations

import pytest
from fetched import fetched
from labkit import Lab


@pytest.mark.parametrize("qemu", ["own", "10.0"])
def test_the_reference_guest_boots_as_the_shipped_baselines_say(lab: Lab, qemu: str) -> None:
    environment = {"QEMU": str(fetched("qemu-backports"))} if qemu == "10.0" else {}
    done = lab.command(lab.words("replay", lab.root / "scenarios" / "baselines"), **environment).expect(0)
    count = len(list((lab.root / "scenarios" / "baselines").glob("*.baseline")))
    assert count and f": {count} equal\n" in done.out

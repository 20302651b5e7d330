"""CPUID's vendor texts as registers."""

from __future__ import annotations


def packed(text: str) -> tuple[int, int, int]:
    """The twelve bytes of a vendor, as three registers in their order."""
    raw = text.encode().ljust(12, b"\0")
    return tuple(int.from_bytes(raw[i:i + 4], "little") for i in (0, 4, 8))  # type: ignore[return-value]

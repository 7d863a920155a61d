"""The text that exporters print: samples with labels. What cannot be read is passed back, never guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Blanks are counted: patterns that may take any number of them twice cost the square of a long line.
_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\s{0,16}\{(.*)\})?\s{1,16}(\S+)(?:\s{1,16}-?\d{1,24})?$")
_LABEL = re.compile(r'\s{0,16}([A-Za-z_][A-Za-z0-9_.]{0,199})\s{0,16}=\s{0,16}"((?:[^"\\]|\\.)*)"\s{0,16},?')
_WHOLE = re.compile(r"[-+]?[0-9]{1,24}$")
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line. value: None for NaN, infinities and what is no number."""

    number: int
    name: str
    labels: dict[str, str]
    value: float | int | None
    raw: str


def samples(text: str) -> Iterator[Sample | tuple[int, str]]:
    """Every sample, and (line number, line) for every line that is neither sample nor comment."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or stripped == "...":
            continue
        match = _SAMPLE.match(stripped)
        if match is None:
            yield number, stripped
            continue
        labels = {k: _unescape(v) for k, v in _LABEL.findall(match[2])} if match[2] else {}
        yield Sample(number, match[1], labels, _number(match[3]), stripped)


def _unescape(text: str) -> str:
    return re.sub(r"\\[n\"\\]", lambda m: _ESCAPES[m[0]], text) if "\\" in text else text


def _number(text: str) -> float | int | None:
    if _WHOLE.match(text):
        return int(text)
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def looks_like_exporter(text: str, *names: str) -> bool:
    """True when a text is exporter output with one of these names at a line's start."""
    head = text[:65536]
    return any(f"\n{n}" in head or head.startswith(n) or f" {n}" in head[:4096] for n in names)

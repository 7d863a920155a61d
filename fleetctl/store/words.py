"""Text from hosts on its way into the store: bounded, on one line, without escape sequences."""

from __future__ import annotations

import re

TEXT_LIMIT = 2048  # characters of free text
NAME_LIMIT = 200  # of names, keys and words

# CSI and OSC sequences whole, so that no "[31m" is left over; then every other control character.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """The text without control characters and escape sequences, at most `limit` characters; cut text ends in "..."."""
    if len(text) <= limit and text.isprintable():
        return text
    text = text[: limit * 4]  # no work for what is thrown away anyway
    if not text.isprintable():
        text = _CONTROLS.sub("", _ESCAPES.sub("", text))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def clean_name(text: str | None) -> str | None:
    """A short name or key, one line; None stays None."""
    if text is None:
        return None
    return clean(text, NAME_LIMIT).replace("\n", " ").replace("\t", " ")

"""Words in the reader's language: English message ids, one catalogue per language, read from its .po file at first use.

Keys, codes, metric names and state keys are never translated in JSON, CSV or filters; only what people read is.
A .po file of this size parses in a few milliseconds, so there is no compiled copy that could be stale (ADR 0041).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

LOCALES = Path(__file__).parent / "locale"
# Order of DOMAIN section 10: --lang (set_language) comes before all of them.
VARIABLES = ("FLEETCTL_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
LANGUAGES = {"en": "", "zh": "zh_CN"}


class Entry(NamedTuple):
    """One message of a catalogue. line: 1-based line of its msgid; other: the plural form, "" if there is none."""

    msgid: str
    msgstr: str
    fuzzy: bool
    line: int


def language_of(environ: Mapping[str, str]) -> str:
    """ "en" or "zh", from the first variable that is set to anything."""
    for name in VARIABLES:
        if value := environ.get(name, ""):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


_language: str | None = None


def set_language(lang: str | None) -> None:
    """Take "en", "zh" or a locale name such as zh_CN.UTF-8; None or "" means as the environment says."""
    global _language
    _language = None if not lang else ("zh" if lang.lower().startswith("zh") else "en")


def language() -> str:
    """The language in force: "en" or "zh"."""
    return _language or language_of(os.environ)


def _(msgid: str) -> str:
    """The message in the language in force; the id itself where there is no translation."""
    if language() == "en":
        return msgid
    return catalogue("zh").get(msgid, msgid)


def word(state: str) -> str:
    """A state key as people read it: `in_service` is "in service" or 在用."""
    return _(state.replace("_", " "))


@cache
def catalogue(lang: str) -> dict[str, str]:
    """msgid -> msgstr of one language, without fuzzy and empty entries."""
    name = LANGUAGES.get(lang, "")
    if not name:
        return {}
    path = LOCALES / name / "LC_MESSAGES" / "fleetctl.po"
    return {
        e.msgid: e.msgstr for e in read_po(path.read_text(encoding="utf-8")) if e.msgid and e.msgstr and not e.fuzzy
    }


_LINE = re.compile(r'(?:(msgid|msgstr)\s+)?"((?:[^"\\]|\\.)*)"\s*$')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def read_po(text: str) -> list[Entry]:
    """Entries of a .po file in order, the header (msgid "") included. No plural forms: Chinese has none."""
    entries: list[Entry] = []
    fuzzy, pending, line, field = False, False, 0, ""
    parts: dict[str, list[str]] = {"msgid": [], "msgstr": []}

    def close() -> None:
        if parts["msgid"]:
            entries.append(Entry("".join(parts["msgid"]), "".join(parts["msgstr"]), fuzzy, line))
        parts["msgid"], parts["msgstr"] = [], []

    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if stripped.startswith("#,"):
            pending = pending or "fuzzy" in stripped
            continue
        found = _LINE.match(stripped)
        if stripped.startswith("#") or found is None:
            continue
        if found[1] == "msgid":
            close()
            fuzzy, pending, line = pending, False, number
        field = found[1] or field
        if field:
            parts[field].append(_ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), found[2]))
    close()
    return entries

"""The Chinese catalogue: complete, nothing fuzzy, the words of the domain, placeholders that fit."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest

from fleetctl.i18n import LOCALES, Entry, _, language, language_of, read_po, set_language, word
from fleetctl.model.states import Admin, Health, Load, Reach

PO = LOCALES / "zh_CN" / "LC_MESSAGES" / "fleetctl.po"


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    set_language(None)


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return read_po(PO.read_text(encoding="utf-8"))


def test_nothing_is_fuzzy_empty_or_double(entries: list[Entry]) -> None:
    assert [e.msgid for e in entries if e.fuzzy or not e.msgstr] == []
    ids = [e.msgid for e in entries]
    assert sorted({i for i in ids if ids.count(i) > 1}) == []


def test_placeholders_are_the_same(entries: list[Entry]) -> None:
    def fields(text: str) -> list[str]:
        return sorted(name for _text, name, _spec, _conv in string.Formatter().parse(text) if name is not None)

    assert [e.msgid for e in entries[1:] if fields(e.msgid) != fields(e.msgstr)] == []


# DOMAIN section 9, word for word.
@pytest.mark.parametrize(
    ("states", "words"),
    [
        (Reach, "实时 过期 探测挂起 失联 未知"),
        (Health, "正常 告警 严重 未知"),
        (Admin, "待上线 老化测试 在用 已封锁 排空中 已排空 维护中 复检中 已隔离 返修中 已退役"),
        (Load, "空闲 部分占用 已占用 未知"),
    ],
)
def test_state_words(states: type[Reach | Health | Admin | Load], words: str) -> None:
    set_language("zh_CN.UTF-8")
    assert [word(s.value) for s in states] == words.split()
    set_language("en")
    assert word("in_service") == "in service"


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "zh_CN"}, "zh"),
        ({"LC_ALL": "zh_CN", "FLEETCTL_LANG": "en"}, "en"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
        ({"LANG": "de_DE"}, "en"),
    ],
)
def test_language_of_the_environment(environ: dict[str, str], lang: str) -> None:
    assert language_of(environ) == lang


def test_the_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCTL_LANG", "en")
    set_language("zh")
    assert (language(), _("node")) == ("zh", "节点")
    set_language("")
    assert (language(), _("node")) == ("en", "node")


def test_a_message_without_translation_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    set_language("zh")
    assert _("no such message") == "no such message"


def test_reads_po() -> None:
    text = '#, fuzzy\nmsgid "a"\nmsgstr "b"\n\n# note\nmsgid ""\n"two "\n"lines\\n"\nmsgstr "zwei"\n"\\"q\\""\n'
    assert read_po(text) == [Entry("a", "b", True, 2), Entry("two lines\n", 'zwei"q"', False, 6)]

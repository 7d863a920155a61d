"""The generated pages say what the code says, and every string people read has a Chinese one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_are_current(generate: ModuleType) -> None:
    assert generate.stale_pages() == [], "run: python docs/generate.py"


def test_every_string_is_translated(generate: ModuleType) -> None:
    assert generate.missing_strings() == {}, "translate them in fleetctl/locale/zh_CN/LC_MESSAGES/fleetctl.po"


def test_the_extraction_sees_calls_and_columns(generate: ModuleType) -> None:
    used = generate.used_strings()
    assert used["reach"].startswith("fleetctl/")
    assert "no column named {name}" in used
    assert "in service" in used

"""The example file and the settings page say what the declaration says."""

import ast
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleetctl.config import load_config
from fleetctl.config.documents import example, reference
from fleetctl.config.schema import Config
from fleetctl.config.setting import kind_of
from fleetctl.inventory import build_inventory

ROOT = Path(__file__).parents[2]


def test_example_file_is_current() -> None:
    assert (ROOT / "fleet.example.toml").read_text() == example() + "\n", (
        "run: python -m fleetctl.config.documents example > fleet.example.toml"
    )


def test_settings_page_is_current() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == reference() + "\n", (
        "run: python -m fleetctl.config.documents reference > docs/reference/settings.md"
    )


def test_example_file_loads_as_it_stands() -> None:
    assert len(build_inventory(load_config(ROOT / "fleet.example.toml")).hosts) == 128


def test_example_file_loads_with_every_default_uncommented(tmp_path: Path) -> None:
    live: list[str] = []
    left_out = False  # the keys of a list table that is shown as a comment belong to no table
    for line in (ROOT / "fleet.example.toml").read_text().splitlines():
        if line.startswith(("[", "# [")):
            left_out = line.startswith("# [")
        is_setting = line.startswith("# ") and " = " in line and "(not set)" not in line
        if not left_out:
            live.append(line[2:] if is_setting else line)
    (tmp_path / "fleet.toml").write_text("\n".join(live))
    load_config(tmp_path / "fleet.toml")


def settings_of(table: type[Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted path, name) of every setting."""
    hints = typing.get_type_hints(table)
    for field in dataclasses.fields(table):
        kind, _ = kind_of(hints[field.name])
        if dataclasses.is_dataclass(kind):
            yield from settings_of(typing.cast("type[Any]", kind), f"{path}{field.name}.")
        else:
            yield path + field.name, field.name


def attributes_read(*roots: Path) -> set[str]:
    """Names read as an attribute anywhere below, the declaration and the documents made from it left out."""
    found = set()
    for root in roots:
        for path in root.rglob("*.py"):
            if path.parent.name != "config" or path.name not in ("schema.py", "documents.py"):
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                        found.add(node.attr)
    return found


def test_every_setting_is_read_somewhere() -> None:
    read = attributes_read(ROOT / "fleetctl", ROOT / "plugins")
    assert [path for path, name in settings_of(Config) if name not in read] == []

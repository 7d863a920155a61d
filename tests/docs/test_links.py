"""No page points at what is not there; every command has its section; the example files of the how-to pages are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleetctl.cli.app import COMMANDS
from fleetctl.config import parse_config
from fleetctl.inventory import build_inventory

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    list(ROOT.glob("*.md")) + [p for top in ("docs", "plugins", "tests") for p in (ROOT / top).rglob("*.md")]
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchor(heading: str) -> str:
    """As the forges make them: lower case, punctuation gone, spaces to dashes."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "`x`", text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, part = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} does not exist"
        if part and there.suffix == ".md":
            assert part in {anchor(h) for h in HEADING.findall(there.read_text(encoding="utf-8"))}, (
                f"{target}: no such part"
            )


def test_every_command_has_its_section() -> None:
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"\n## fleetctl {name}\n" not in text] == []


def test_every_how_to_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    assert [p.name for p in sorted((ROOT / "docs/how-to").glob("*.md")) if f"how-to/{p.name}" not in index] == []


def test_the_fleet_of_the_how_to_page_is_valid() -> None:
    page = (ROOT / "docs/how-to/own-fleet.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    fleet = build_inventory(parse_config(block.encode()))
    assert len(fleet.hosts) == 128
    assert fleet.racks["lg-a01"].power_budget_w == 44_000

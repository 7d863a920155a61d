"""The example file and the settings page say what the declaration says."""

from pathlib import Path

from fleetctl.config import load_config
from fleetctl.config.documents import example, reference
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

"""Names as tools print them find their chip, or honestly none."""

from __future__ import annotations

import pytest

from fleetctl.errors import ConfigError
from fleetctl.model.chip import Catalogue, Chip
from fleetctl.model.fault import FaultEntry, Ladder
from fleetctl.model.reading import Fault, FaultAction
from fleetctl.plugin.catalogue import catalogue, ladder, read_chips, set_own_chips


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("Tesla V100-SXM2...", "V100 SXM2 32GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM5 80GB"),
        ("NVIDIA A100-SXM4-80GB", "A100 SXM4 80GB"),
        ("Ascend 910B3", "Ascend 910B3"),
        ("910B3", "Ascend 910B3"),
        ("Iluvatar BI-V150", "BI-V150 (Tiangai 150)"),
    ],
)
def test_a_printed_name_finds_its_chip(name: str, chip: str) -> None:
    found = catalogue().resolve(name).chip
    assert found is not None
    assert found.chip == chip


def test_an_ambiguous_name_is_decided_by_what_is_printed_beside_it_or_not_at_all() -> None:
    book = Catalogue([
        Chip("metax", "C500 (PCIe)", ("MetaX C500",), 64, (65536,), None, (350,), peaks={"fp16": 240}),
        Chip("metax", "C500 (OAM)", ("MetaX C500",), 64, (65536,), None, (450,), peaks={"fp16": 280}),
    ])  # fmt: skip
    unknown = book.resolve("MetaX C500", memory_bytes=65536 * 2**20)
    assert unknown.chip is None
    assert len(unknown.candidates) == 2
    decided = book.resolve("MetaX C500", power_cap_w=450).chip
    assert decided is not None
    assert decided.chip == "C500 (OAM)"


def test_a_slice_of_memory_does_not_change_the_chip() -> None:
    found = catalogue().resolve("Tesla T4", memory_bytes=4000 * 2**20).chip
    assert found is not None
    assert found.chip == "T4"


@pytest.mark.parametrize("name", [None, "", "PPU", "N/A", "Quantum 9000", "..."])
def test_what_is_no_name_finds_nothing(name: str | None) -> None:
    assert catalogue().resolve(name).chip is None


def test_the_operators_file_wins(tmp_path) -> None:  # type: ignore[no-untyped-def]
    own = tmp_path / "own.csv"
    own.write_text("vendor,chip,names,fp16_tflops\nascend,Ascend 910B3,910B3,300\n", encoding="utf-8")
    [chip] = read_chips(own, own=True)
    assert chip.confidence == "own"
    book = Catalogue([*catalogue().chips, chip])
    found = book.resolve("910B3").chip
    assert found is not None
    assert found.peaks == {"fp16": 300.0}


def test_the_shipped_ladder_knows_every_family_and_every_action_is_a_rung() -> None:
    entry = ladder().find("nvidia", "xid", "79")
    assert entry is not None
    assert entry.action is FaultAction.ISOLATE
    assert ladder().find("ascend", "npu", "0x80E01801") is not None
    assert len(ladder().entries) > 1000


def test_a_non_fatal_link_error_is_only_watched_and_a_line_that_names_its_action_keeps_it() -> None:
    entry = FaultEntry(
        "v", "xid", "149", "n", "m", FaultAction.RESET_NOW, "Nonfatal: watch; Fatal: drain node, reset GPU"
    )
    book = Ladder([entry])
    assert book.judge(Fault("v", "xid", "149", "LINK Nonfatal XC0")).action is FaultAction.OBSERVE
    assert book.judge(Fault("v", "xid", "149", "LINK Fatal XC0")).action is FaultAction.RESET_NOW
    said = Fault("v", "xid", "149", "x", action=FaultAction.ISOLATE)
    assert book.judge(said).action is FaultAction.ISOLATE


def test_the_setting_names_a_file_that_wins_everywhere(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    own = tmp_path / "own.csv"
    own.write_text("vendor,chip,names,fp16_tflops\nnvidia,House card,House 9000,42\n", encoding="utf-8")
    monkeypatch.setattr("fleetctl.plugin.catalogue._own", None)
    assert catalogue().resolve("House 9000").chip is None
    set_own_chips(own)
    found = catalogue().resolve("House 9000").chip
    assert found is not None
    assert found.peaks == {"fp16": 42.0}
    broken = tmp_path / "broken.csv"
    broken.write_text("vendor,chip,fp16_tflops\nnvidia,X,many\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.csv:2"):
        catalogue(broken)

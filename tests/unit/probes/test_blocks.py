"""What several probes say of the same cards becomes one block."""

from fleetctl.model.reading import Device, Reading
from fleetctl.model.report import Block
from fleetctl.probes.blocks import Join, KindView, kind_views


def view(*readings: Reading) -> KindView:
    return kind_views(readings, {})["card"]


def joined(*views: KindView) -> Block:
    return Join.of(views, None).block(views)


def test_columns_of_two_probes_stand_side_by_side() -> None:
    card = Device("card", "GPU-1", pci="0000:1a:00.0")
    block = joined(view(Reading(card, {"temp_c": 40})), view(Reading(card, {"pcie_width_max": 16})))
    assert (block.columns, block.rows) == (("temp_c", "pcie_width_max"), ((40, 16),))


def test_a_card_two_tools_name_differently_is_one_card() -> None:
    quick = [Reading(Device("card", f"0000:{n}:00.0", index=n, pci=f"0000:{n}:00.0"), {"temp_c": 40}) for n in "12"]
    slow = [
        Reading(Device("card", f"SN{n}", serial=f"SN{n}", pci=f"0000:{n}:00.0"), {"ecc": 1}, {"health": "OK"})
        for n in "21"
    ]
    block = joined(view(*quick), view(*slow))
    assert [device.key for device in block.devices] == ["0000:1:00.0", "0000:2:00.0"]
    assert [device.serial for device in block.devices] == ["SN1", "SN2"]
    assert block.rows == ((40, 1), (40, 1))
    assert set(block.states) == {"0000:1:00.0", "0000:2:00.0"}


def test_slices_at_one_address_stay_apart() -> None:
    parent = Device("card", "GPU-1", pci="0000:1a:00.0")
    parts = [Device("card", f"MIG-{n}", pci="0000:1a:00.0", parent="GPU-1", partition="1g.10gb") for n in range(2)]
    block = joined(
        view(Reading(parent, {"temp_c": 40})), view(*(Reading(part, {"mem_used_bytes": 1}) for part in parts))
    )
    assert [device.key for device in block.devices] == ["GPU-1", "MIG-0", "MIG-1"]


def test_two_dies_at_one_address_in_one_answer_stay_apart() -> None:
    dies = [Device("card", f"die{n}", pci="0000:1a:00.0") for n in range(2)]
    block = joined(
        view(Reading(Device("card", "board", pci="0000:1a:00.0"), {"power_w": 9})),
        view(*(Reading(d, {"temp_c": 1}) for d in dies)),
    )
    assert [device.key for device in block.devices] == ["board", "die0", "die1"]

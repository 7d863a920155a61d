"""Lines of MetaX's kernel drivers, as the maker's notes on EID messages print them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction
from fleetctl.plugin import load_plugin
from fleetctl.plugin.catalogue import enrich
from fleetctl.probes.parsing import choose_parser
from fleetctl_metax.kernel import address_of, kernel_faults, parse_kernel

_OLD = """\
[ 1023.100000] METAX.B10200.ATU.ERROR atu 0x0 pde_base_addr 0x50016c0000
[ 1023.100001] METAX.B10200.ATU.ERROR xpid 1 vfid 0 vf 0 page va 224200000
[ 1023.100002] METAX.B10200.ATU.ERROR hwip DMAW0 fault code(7) perm code: 2
"""
_NEW = "2026-11-21T22:30:00,000000+00:00 METAX.B0e00.RAS.ERROR EID (0000:0e:00.0): 0x1101, eeprom checksum, 0x3"


def test_lines_of_one_card_and_module_are_one_fault() -> None:
    (fault,) = parse_kernel(Output(_OLD)).faults
    assert (fault.family, fault.code, fault.device, fault.count) == ("metax", "ATU.ERROR", "0001:02:00.0", 3)
    assert fault.text.startswith("atu 0x0")


def test_an_error_id_is_the_code_and_the_ladder_knows_it() -> None:
    (fault,) = enrich(parse_kernel(Output(_NEW))).faults
    assert (fault.code, fault.device, fault.action) == ("0x1101", "0000:0e:00.0", FaultAction.REPAIR)
    assert fault.at == 1795300200.0
    assert fault.text == "eeprom checksum, 0x3"


def test_a_masked_address_is_read_from_the_card_number() -> None:
    (fault,) = kernel_faults(["METAX.B10200.ATU.ERROR EID (xxxx:xx:xx.x): 0x2101, xpid 1"])
    assert (fault.code, fault.device) == ("0x2101", "0001:02:00.0")


def test_a_library_names_the_card_itself() -> None:
    (fault,) = kernel_faults(["mxlib[77]: ERROR EID(0000:0e:00.0):0x2102,shader error"])
    assert (fault.code, fault.device, fault.text) == ("0x2102", "0000:0e:00.0", "shader error")


def test_warnings_are_watched_and_talk_is_no_fault() -> None:
    lines = ["MXCD.B0e00.QUEUE.WARN slow", "METAX.B0e00.PM.INFO awake", "usb 1-1: EID found", "METAX.Bzz.PM.ERROR x"]
    (fault,) = kernel_faults(lines)
    assert (fault.code, fault.action) == ("QUEUE.WARN", FaultAction.OBSERVE)


def test_the_form_is_found_by_its_looks() -> None:
    plugin = load_plugin("metax")
    form = choose_parser(plugin, _OLD, "dmesg")
    assert form is not None
    assert form.name == "metax.kernel"
    assert plugin.kernel_faults is not None
    assert plugin.kernel_faults(["NVRM: Xid (PCI:0000:01:00): 79"]) == ()


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F), st.integers(0, 7))
def test_every_card_number_is_its_address(domain: int, bus: int, device: int, function: int) -> None:
    number = domain << 16 | bus << 8 | device << 3 | function
    assert address_of(f"{number:x}") == f"{domain:04x}:{bus:02x}:{device:02x}.{function}"


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_lines_are_survived(rest: list[str]) -> None:
    kernel_faults([f"METAX.B{r} EID ({r}): {r}" for r in rest] + [f"METAX.B1.X.ERROR {r}" for r in rest])

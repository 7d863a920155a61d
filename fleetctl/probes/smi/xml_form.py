"""`-q -x`: the XML form of the family, every document type seen so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi.family import XML, XML_NAMES, XML_STATES, Family, fill, throttle_reasons
from fleetctl.probes.text import total, whole
from fleetctl.probes.trees import flat_xml, read_xml

# Most of a desktop card's 75 KB are the clocks it could have: nobody asks, and they cost a millisecond to parse.
_UNITS = {"mem_used_bytes": "MiB", "mem_total_bytes": "MiB"}


def _without_clocks(text: str) -> str:
    parts, at = [], 0
    while (start := text.find("<supported_clocks>", at)) >= 0:
        end = text.find("</supported_clocks>", start)
        if end < 0:
            break
        parts.append(text[at:start])
        at = end + len("</supported_clocks>")
    return "".join([*parts, text[at:]])


def xml_parser(family: Family, roots: tuple[str, ...]) -> Callable[[Output], ProbeResult]:
    """A parse function. roots: names of the document element ("nvidia_smi_log")."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        text = sheet.text_of(output)
        start = text.find("<?xml")
        if start < 0:
            start = min((i for i in (text.find(f"<{r}") for r in roots) if i >= 0), default=-1)
        before = text if start < 0 else text[:start]
        if before.strip() and family.refusal(sheet, before) and start < 0:
            return sheet.result()
        if start < 0:
            if text.strip():
                sheet.unread("no XML of this tool in it", text)
            return sheet.result()
        root, cards, problem = read_xml(_without_clocks(text[start:]), family.word.lower())
        if not cards and family.word != "GPU":
            root, cards, problem = read_xml(text[start:], "gpu")
        if problem:
            sheet.unread(problem, text[-200:])
        driver = root.get("driver_version")
        for key in ("driver_version", "cuda_version", "timestamp", "attached_gpus", "attached_ppus"):
            if root.get(key):
                sheet.facts[key] = root[key]
        sheet.expected = whole(root.get("attached_gpus", root.get("attached_ppus")))
        for element in cards:
            _card(sheet, family, element, driver)
        if sheet.expected == 0 and not cards:
            family.refusal(sheet, "No devices were found")
        elif not cards and not sheet.findings:
            sheet.unread("no card in it", text)
        family.finish(sheet)
        return sheet.result()

    return parse


_PAGES = (
    "multiple_single_bit_retirement/retired_count", "double_bit_retirement/retired_count", "single_bit_ecc",
    "double_bit_ecc",
)  # fmt: skip


def _card(sheet: Sheet, family: Family, element: ElementTree.Element, driver: str | None) -> None:
    leaves = flat_xml(element)
    card = sheet.card(pci=element.get("id"), driver=driver)
    for path in ("pci/pci_bus_id", "pci/bus_id"):
        card.name("pci", leaves.get(path))
    for name, paths in XML_NAMES.items():
        for path in paths:
            card.name(name, leaves.get(path))
    fill(card, leaves, XML, _UNITS)
    _sums(card, leaves, "ecc_errors/")
    card.values["pages_retired"] = total(leaves.get(f"retired_pages/{p}") for p in _PAGES)
    for state, paths in XML_STATES.items():
        for path in paths:
            card.state(state, leaves.get(path))
    reasons = {
        path.rsplit("/", 1)[1].replace("clocks_event_reason_", "").replace("clocks_throttle_reason_", ""): text
        for path, text in leaves.items()
        if path.startswith(("clocks_event_reasons/", "clocks_throttle_reasons/"))
    }
    held, words = throttle_reasons(reasons)
    card.values["throttled"] = held
    card.state("throttle", words)
    if any("gpu is lost" in v.lower() for v in leaves.values()):
        sheet.fault("bus", "lost", "the card fell off the bus", device=card.fields.get("pci"))
    _processes(sheet, card, element)
    _slices(sheet, card, element)
    if (leaves.get("gpu_virtualization_mode/virtualization_mode") or "").strip().upper() == "VGPU":
        card.fields["partition"] = card.fields.get("model") or "vGPU"  # a guest's part of a card it cannot see whole


_KINDS = {"corrected": ("sram_correctable", "dram_correctable"),
          "uncorrected": ("sram_uncorrectable", "sram_uncorrectable_parity", "sram_uncorrectable_secded",
                          "dram_uncorrectable")}  # fmt: skip


def _sums(card: Card, leaves: Mapping[str, str], prefix: str) -> None:
    """Memory errors of chips that count SRAM and DRAM apart: the sum of what is printed, unknown where nothing is."""
    for scope, life in (("volatile", ""), ("aggregate", "life_")):
        for kind, names in _KINDS.items():
            metric = f"ecc_{kind}_{life}total"
            if card.values.get(metric) is None:
                card.values[metric] = total(leaves.get(f"{prefix}{scope}/{n}") for n in names)


def _processes(sheet: Sheet, card: Card, element: ElementTree.Element) -> None:
    processes = element.find("processes")
    if processes is None:
        return
    held = 0
    for info in processes.findall("process_info"):
        sheet.process(card, info.findtext("pid"), info.findtext("process_name"), info.findtext("used_memory"), "MiB")
        held += 1
    if (processes.text or "").strip().lower() not in ("n/a", "requested functionality has been deprecated"):
        card.values["procs"] = held


def _slices(sheet: Sheet, card: Card, element: ElementTree.Element) -> None:
    for part in element.findall("mig_devices/mig_device"):
        leaves = flat_xml(part)
        gi, ci = leaves.get("gpu_instance_id"), leaves.get("compute_instance_id")
        piece = sheet.card(index=leaves.get("index"), model=card.fields.get("model"), driver=card.fields.get("driver"))
        piece.fields["partition"] = leaves.get("profile_name") or leaves.get("profile") or f"GI {gi} CI {ci}"
        piece.parent = card
        piece.shares = ("power_w", "temp_c")
        piece.name("uuid", leaves.get("uuid"))
        piece.name("pci", card.fields.get("pci"))
        piece.put("mem_used_bytes", leaves.get("fb_memory_usage/used"), "MiB")
        piece.put("mem_total_bytes", leaves.get("fb_memory_usage/total"), "MiB")
        piece.put("ecc_uncorrected_total", leaves.get("ecc_error_count/volatile_count/sram_uncorrectable"))

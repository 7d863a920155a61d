"""`hccn_tool -i N -WHAT -g`: the card's own network port."""

from __future__ import annotations

import re

from fleetctl.probes.text import split_number, whole
from fleetctl_ascend.board import Board, refusal

_ERRORS = re.compile(r"^(?:mac|roce)_(?:rx|tx)_\w*(?:err|bad|fcs)\w*:\s*(\d+)\s*$", re.MULTILINE)
_SPEED = re.compile(r"^\s*Speed:\s*(\d+)\s*Mb/s", re.MULTILINE | re.IGNORECASE)
_QUIET = ("ipaddr", "fec mode", "netmask", "gateway", "lldp", "link change")  # settings, not state
_DEVID = re.compile(r"\[devid (\d+)\]")


def read_link(board: Board, text: str, *, npu: str = "") -> None:
    """Read one answer. npu: from the command line; some answers name the card themselves (`[devid 0]`)."""
    named = _DEVID.search(text)
    index = named[1] if named else npu
    body = _DEVID.sub("", text).strip()
    if not body:
        return
    if not index:
        board.sheet.unread("an answer of hccn_tool that names no card: give the command", text)
        return
    card = board.card(index)
    low = body.lower()
    if match := re.search(r"link status\s*:\s*(\w+)", low):
        up = {"up": True, "down": False}.get(match[1])
        card.values["links_total"] = 1
        card.values["links_up"] = None if up is None else int(up)
        board.sheet.link(card, "0", "roce", up)
        if up is False:
            board.sheet.fault("link", "down", "the card's network port is down", device=index)
    elif "packet statistics" in low or _ERRORS.search(body):
        known = [n for n in (whole(m) for m in _ERRORS.findall(body)) if n is not None]
        if known:
            card.values["link_errors_total"] = sum(known)
            board.sheet.link(card, "0", "roce", None, errors_total=sum(known))
    elif match := _SPEED.search(body):
        board.sheet.link(card, "0", "roce", None, speed_gbps=int(match[1]) / 1000)
    elif match := re.search(r"net health status\s*:\s*(.+)", body, re.IGNORECASE):
        card.state("net_health", match[1])
    elif "optical info" in low or "present" in low:
        _optics(board, index, body)
    elif match := re.search(r"link up count\s*:\s*(\d+)", low):
        card.state("link_up_count", match[1])
    elif not any(w in low for w in _QUIET) and not refusal(board.sheet, body, device=index):
        board.sheet.unread("an answer of hccn_tool of no known kind", text)


def _optics(board: Board, index: str, body: str) -> None:
    """The optical module: words for people; a module that is not present has no temperature, whatever is printed."""
    card = board.card(index)
    rows = dict(re.findall(r"^\s*([^:\n]+?)\s*:\s*(.*?)\s*$", body, re.MULTILINE))
    card.state("optics", rows.get("present"))
    if rows.get("present", "").lower() == "present":
        reading = split_number(rows.get("temperature", ""))
        if reading is not None and reading[1].upper() == "C":
            card.state("optics_temp", f"{reading[0]} C")


def is_link(text: str) -> bool:
    low = text.lower()
    return any(
        w in low
        for w in (
            "link status",
            "packet statistics",
            "optical info",
            "net health status",
            "[devid ",
            "fec mode",
            "roce_rx_",
        )
    )

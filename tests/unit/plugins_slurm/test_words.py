"""States with their flags, moments, generic resources and hostlists, as Slurm writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.states import Admin
from fleetctl_slurm.words import (
    admin_of,
    count_allocated_cpus,
    count_cards,
    expand_hosts,
    is_busy,
    known_name,
    parse_moment,
    parse_state,
)


@pytest.mark.parametrize(
    ("word", "cpus", "admin", "busy"),
    [
        ("idle", 0, Admin.IN_SERVICE, False),
        ("mixed", 2, Admin.IN_SERVICE, True),
        ("idle+drain", 0, Admin.DRAINED, False),
        ("allocated+drain", 96, Admin.DRAINING, True),
        ("mixed+drain+not_responding", 4, Admin.DRAINING, True),
        ("idle+completing", 0, Admin.IN_SERVICE, True),
        ("idle+completing+drain", 0, Admin.DRAINING, True),
        ("IDLE*", 0, Admin.IN_SERVICE, False),
        ("unknown", 0, Admin.IN_SERVICE, None),
        ("unknown+drain", 0, Admin.DRAINING, None),  # after a restart nobody knows whether it is empty
        ("down+not_responding", 0, Admin.IN_SERVICE, False),  # comes back by itself: a matter of reach
        ("down", 0, Admin.CORDONED, False),  # somebody set it down
        ("down+drain+not_responding", 0, Admin.DRAINED, False),
        ("idle+maintenance+reserved+planned", 0, Admin.MAINTENANCE, False),
        ("idle+reserved", 0, Admin.IN_SERVICE, False),
        ("idle+planned", 0, Admin.IN_SERVICE, False),
        ("idle+powered_down", 0, Admin.IN_SERVICE, False),
        ("idle+invalid_reg", 0, Admin.CORDONED, False),
        ("fail", 0, Admin.DRAINED, False),
        ("future", None, Admin.STAGED, None),
        ("wonderful", None, Admin.CORDONED, None),
    ],
)
def test_states(word: str, cpus: int | None, admin: Admin, busy: bool | None) -> None:
    state = parse_state(word)
    assert is_busy(state, cpus) is busy
    assert admin_of(state, is_busy(state, cpus)) is admin


def test_only_a_down_node_is_called_silent() -> None:
    assert parse_state("down+not_responding").responding is False
    assert parse_state("idle+not_responding").responding is None, "so it looks until the first ping after a resume"
    assert parse_state("unknown").responding is None
    assert parse_state("mixed").responding is True


@pytest.mark.parametrize(
    ("text", "cards"),
    [
        ("gpu:h100:8(S:0-1)", 8),
        ("gpu:h100:8(IDX:0-3,5-7),npu:0", 8),
        ("gpu:0,npu:910b:8", 8),
        ("gpu:0", 0),
        ("gpu", 1),
        ("gres:gpu:h100:4", 4),
        ("gres/gpu:h100:4", 4),
        ("gres:gpu:8", 8),
        ("cpu=8,mem=1G,gres/gpu=8,gres/gpu:h100=8", 8),
        ("gpu:a100:4,gpu:l40s:2", 6),
        ("mps:100,shard:8", None),
        ("N/A", None),
        ("(null)", None),
        ("", None),
    ],
)
def test_cards(text: str, cards: int | None) -> None:
    assert count_cards(text) == cards


def test_small_things() -> None:
    assert parse_moment("2026-11-21T23:42:09") == 1795304529
    assert [parse_moment(t) for t in ("Unknown", "N/A", "NONE", "2026-13-40T99:99:99", "")] == [None] * 5
    assert count_allocated_cpus("2/0/94/96") == 2
    assert count_allocated_cpus("N/A") is None
    assert known_name("(null)") == ""
    assert expand_hosts("osl-[01-03],b") == ("b", "osl-01", "osl-02", "osl-03")
    assert expand_hosts("a[1-999999999]") == ()
    assert expand_hosts("a[1") == ()
    assert expand_hosts("; rm -rf /") == ()


@given(st.text())
def test_nothing_raises(text: str) -> None:
    state = parse_state(text)
    admin_of(state, is_busy(state, None))
    count_cards(text)
    parse_moment(text)
    count_allocated_cpus(text)
    assert all(expand_hosts(text))

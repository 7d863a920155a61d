"""States with their flags, moments, generic resources and hostlists, as Slurm writes them."""

from __future__ import annotations

from random import Random

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
    parts_of,
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
        ("idle+wonderful", 0, Admin.IN_SERVICE, False),  # a flag of a later release
        ("DRAIN+MIXED", None, Admin.DRAINING, True),
        ("idle+drain*", 0, Admin.DRAINED, False),
        ("idle#", 0, Admin.IN_SERVICE, False),
        ("idle+cloud+powering_up", 0, Admin.IN_SERVICE, False),
        ("down^", 0, Admin.CORDONED, False),
        ("idle$", 0, Admin.MAINTENANCE, False),
        ("mixed-", 4, Admin.IN_SERVICE, True),
        ("allocated+completing+drain+reboot_requested", 0, Admin.DRAINING, True),
        ("down$*+drain+reboot_issued", 0, Admin.DRAINED, False),
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


@pytest.mark.parametrize(
    ("gres", "parts"),
    [
        ("gpu:h100:8,shard:h100:32", "shard:4"),
        ("gpu:h100:8(S:0-1),shard:32", "shard:4"),
        ("gpu:l40s:4,mps:l40s:400", "mps:100"),
        ("gpu:4,mps:400,shard:8", "shard:2"),
        ("gpu:8,shard:4", ""),  # fewer parts than cards: not of one card each
        ("gpu:8", ""),
        ("shard:8", ""),
        ("npu:910b:8,shard:0", ""),
        ("(null)", ""),
    ],
)
def test_how_cards_are_shared(gres: str, parts: str) -> None:
    assert parts_of(gres) == parts


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


BASES = (
    "idle", "mixed", "allocated", "down", "unknown", "error", "future", "planned", "reserved", "completing", "drain",
    "drained", "draining", "fail", "failing", "maint", "inval", "power_down", "powering_up", "reboot", "blocked",
)  # fmt: skip
FLAGS = (
    "drain", "fail", "completing", "not_responding", "maintenance", "reserved", "planned", "invalid_reg", "blocked",
    "powered_down", "powering_up", "powering_down", "power_drain", "reboot_requested", "reboot_issued", "cloud",
    "dynamic_norm", "external", "resume", "perfctrs",
)  # fmt: skip
SUFFIX = st.text("*~#!%$@^-+", max_size=3)


@given(
    st.sampled_from(BASES),
    st.lists(st.sampled_from(FLAGS), max_size=4),
    st.lists(SUFFIX, min_size=5, max_size=5),
    st.sampled_from([None, 0, 8]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_words_with_any_suffixes(
    base: str, flags: list[str], ends: list[str], cpus: int | None, upper: bool, rng: Random
) -> None:
    """What must hold whatever is printed: a hold is seen, work is seen, and nothing unclear is in service."""
    words = [f"{word}{end}" for word, end in zip([base, *flags], ends, strict=False)]
    text = "+".join(words)
    state = parse_state(text.upper() if upper else text)
    busy = is_busy(state, cpus)
    admin = admin_of(state, busy)
    bare = {base, *flags}
    assert state.held == bool(bare & {"drain", "drained", "draining", "fail", "failing"})
    if bare & {"mixed", "allocated", "completing"} or cpus:
        assert busy is True
        assert admin is not Admin.DRAINED
    if state.held:
        assert admin in (Admin.DRAINED, Admin.DRAINING)
    if admin is Admin.DRAINED:
        assert busy is False
    if admin is Admin.IN_SERVICE:
        silent = "down" in bare and ("not_responding" in bare or "*" in "".join(ends))
        assert silent or bare & {
            "idle",
            "mixed",
            "allocated",
            "unknown",
            "planned",
            "reserved",
            "completing",
        }
        assert silent or not bare & {"invalid_reg", "inval", "blocked", "down", "future"}
    if "*" in "".join(ends[: len(words)]):
        assert state.responding is not True
    rng.shuffle(words)
    again = parse_state("+".join(words))
    assert (again.words, is_busy(again, cpus)) == (state.words, busy), "their order says nothing"
    assert admin_of(again, busy) is admin


@given(st.text())
def test_nothing_raises(text: str) -> None:
    state = parse_state(text)
    admin_of(state, is_busy(state, None))
    count_cards(text)
    parse_moment(text)
    count_allocated_cpus(text)
    assert all(expand_hosts(text))

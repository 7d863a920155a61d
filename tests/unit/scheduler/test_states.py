"""The life of a node: the table itself, and any walk through it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import UsageError
from fleetctl.model.admin import Actor, ActorKind, NodeAdmin, OutsideState, Wish
from fleetctl.model.states import Admin, ReasonClass
from fleetctl.scheduler.states import BY_VERB, TRANSITIONS, derive, effective, owner_of, parse_reason, why_not

PERSON, RULE = Actor(ActorKind.PERSON, "alice"), Actor(ActorKind.RULE, "lemon")
VERBS = st.sampled_from(sorted(BY_VERB))


def test_every_state_can_be_reached_and_left_again_but_retirement_needs_staging() -> None:
    for state in Admin:
        assert any(state in t.sources for t in TRANSITIONS), state
    leaves = [t.verb for t in TRANSITIONS if Admin.RETIRED in t.sources]
    assert leaves == ["stage"]


@given(st.lists(st.tuples(VERBS, st.booleans(), st.sampled_from([PERSON, RULE])), max_size=30))
def test_no_walk_leads_to_a_state_that_the_table_does_not_name(steps: list[tuple[str, bool, Actor]]) -> None:
    record, busy = NodeAdmin("n1"), False
    for verb, busy, who in steps:
        before = derive(record.wish, busy)
        if why_not(verb, record, None, before, who):
            continue
        transition = BY_VERB[verb]
        assert before in transition.sources
        assert who.kind in transition.who
        record = NodeAdmin("n1", transition.wish, record.version + 1, who)
    after = derive(record.wish, busy)
    assert after in set(Admin)
    # Nothing in service ever got there from quarantine without its checks.
    assert (after is Admin.IN_SERVICE) == (record.wish is Wish.SERVE)


@given(st.sampled_from(list(Wish)))
def test_blind_is_never_drained(wish: Wish) -> None:
    assert derive(wish, None) is derive(wish, True)
    assert derive(wish, True) is not Admin.DRAINED
    assert derive(wish, True) is not Admin.MAINTENANCE


def test_quarantine_is_left_only_through_verify() -> None:
    held = NodeAdmin("n1", Wish.QUARANTINE, 1, RULE)
    for verb in ("resume", "accept"):
        assert "recheck" in why_not(verb, held, None, Admin.QUARANTINED, PERSON)
    assert why_not("verify", held, None, Admin.QUARANTINED, PERSON) == ""


def test_an_outside_drain_shows_through_and_keeps_its_owner() -> None:
    outside = OutsideState("n1", "slurm", Admin.DRAINED, "root", "xid 79", busy=False)
    mine = NodeAdmin("n1")
    assert effective(mine, outside, False) is Admin.DRAINED
    assert str(owner_of(mine, outside)) == "outside:slurm:root"
    assert "--take-over" in why_not("resume", mine, outside, Admin.DRAINED, PERSON)
    assert why_not("resume", mine, outside, Admin.DRAINED, PERSON, take_over=True) == ""
    ours = OutsideState("n1", "slurm", Admin.DRAINED, "fleetctl", "[fleetctl p-1] hw: fan", ours=True, busy=False)
    assert why_not("resume", mine, ours, Admin.DRAINED, PERSON) == ""
    assert effective(mine, OutsideState("n1", "slurm", Admin.DRAINING, busy=True), False) is Admin.DRAINING


def test_a_second_drain_may_only_change_how_work_is_treated() -> None:
    held = NodeAdmin("n1", Wish.DRAIN, 1, PERSON)
    assert "already by person:alice" in why_not("drain", held, None, Admin.DRAINING, PERSON)
    assert why_not("drain", held, None, Admin.DRAINING, PERSON, harder=True) == ""
    assert why_not("drain", held, None, Admin.DRAINED, PERSON, harder=True) != ""


def test_only_people_retire_nodes() -> None:
    assert "not for a rule" in why_not("retire", NodeAdmin("n1", Wish.DRAIN), None, Admin.DRAINED, RULE)


@pytest.mark.parametrize(
    ("text", "cls", "words"),
    [
        ("hw: xid 79", ReasonClass.HW, "xid 79"),
        ("NET:cable\tloose", ReasonClass.NET, "cable loose"),
        ("maint:  固件 ", ReasonClass.MAINT, "固件"),
    ],
)
def test_reasons(text: str, cls: ReasonClass, words: str) -> None:
    reason = parse_reason(text)
    assert (reason.cls, reason.text) == (cls, words)


@given(st.text())
def test_a_reason_is_read_or_refused_but_never_carries_controls(text: str) -> None:
    try:
        reason = parse_reason(text)
    except UsageError:
        return
    assert reason.text.isprintable()
    assert 0 < len(reason.text) <= 500

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.scheduler.packing.fragments import ClassMix, count_classes
from fleetctl.scheduler.packing.node import NodeSpec, card_choices
from fleetctl.scheduler.packing.packer import Packer, Share
from fleetctl.scheduler.packing.policies import POLICIES
from fleetctl.scheduler.packing.task import TaskClass

NODES = [
    NodeSpec("a1", 32_000, 65_536, 4, "T4", "east"),
    NodeSpec("a2", 32_000, 65_536, 4, "T4", "east"),
    NodeSpec("b1", 64_000, 131_072, 8, "G2", "west"),
    NodeSpec("b2", 64_000, 131_072, 8, "G2", "west"),
]
KINDS = [
    TaskClass(2_000, 4_096, 1, 250),
    TaskClass(4_000, 8_192, 1, 600),
    TaskClass(4_000, 8_192, 1),
    TaskClass(8_000, 8_192, 4),
    TaskClass(8_000, 8_192, 2, 500),
    TaskClass(4_000, 8_192, 1, models=("T4",)),
    TaskClass(4_000, 8_192, 2, site="west"),
    TaskClass(8_000, 8_192),
    TaskClass(8_000, 8_192, 16),
]
actions = st.lists(st.tuples(st.integers(0, len(KINDS) - 1), st.integers(0, 9)), max_size=60)


def packer(policy: str, kinds: list[TaskClass] = KINDS) -> Packer:
    return Packer(NODES, POLICIES[policy], ClassMix(count_classes(kinds), max_cards=8), seed=7)


def play(made: Packer, steps: list[tuple[int, int]]) -> list[tuple[Share, ...]]:
    """Place a task per step and now and then give one back; the shares of every step."""
    running: list[tuple[Share, ...]] = []
    given_out: list[tuple[Share, ...]] = []
    for kind, dice in steps:
        shares = made.choose(KINDS[kind])
        given_out.append(shares)
        if shares:
            made.apply(shares)
            running.append(shares)
        if dice < 4 and running:
            made.release(running.pop(dice % len(running)))
    for shares in running:
        made.release(shares)
    return given_out


@pytest.mark.parametrize("policy", list(POLICIES))
@settings(max_examples=25, deadline=None)
@given(actions)
def test_never_more_than_there_is_and_all_of_it_back(policy: str, steps: list[tuple[int, int]]) -> None:
    made = packer(policy)
    watts = made.power_w
    play(made, steps)  # apply raises where a choice does not fit
    assert made.cpu_milli.tolist() == [n.cpu_milli for n in NODES]
    assert made.memory_mib.tolist() == [n.memory_mib for n in NODES]
    assert [made.card_milli(n) for n in range(4)] == [(1000,) * n.cards for n in NODES]
    assert made.used_milli == 0
    assert made.untouched.all()
    assert made.power_w == pytest.approx(watts)


@pytest.mark.parametrize("policy", list(POLICIES))
@settings(max_examples=15, deadline=None)
@given(actions)
def test_the_same_calls_give_the_same_answers(policy: str, steps: list[tuple[int, int]]) -> None:
    assert play(packer(policy), steps) == play(packer(policy), steps)


@settings(max_examples=25, deadline=None)
@given(actions)
def test_kept_scores_are_what_fresh_ones_would_be(steps: list[tuple[int, int]]) -> None:
    made = packer("fgd")
    for kind, _dice in steps:
        fresh = packer("fgd")
        for node, spec in enumerate(NODES):
            taken = (spec.cpu_milli - int(made.cpu_milli[node]), spec.memory_mib - int(made.memory_mib[node]))
            fresh.apply([Share(node, tuple(_devices(made, node)), *taken)])
        assert made.choose(KINDS[kind]) == fresh.choose(KINDS[kind])
        shares = made.choose(KINDS[kind])
        if shares:
            made.apply(shares)


def _devices(made: Packer, node: int) -> list[tuple[int, int]]:
    return [(i, 1000 - free) for i, free in enumerate(made.card_milli(node)) if free < 1000]


def test_a_share_goes_where_it_spoils_least() -> None:
    made = packer("fgd", [TaskClass(0, 0, 1, 500), TaskClass(0, 0, 8)])
    first = made.choose(TaskClass(0, 0, 1, 500))
    made.apply(first)
    assert NODES[first[0].node].cards == 4  # a node of eight stays whole for tasks of eight
    second = made.choose(TaskClass(0, 0, 1, 500))
    assert (second[0].node, second[0].devices) == (first[0].node, first[0].devices)


def test_a_gang_takes_whole_untouched_nodes_of_one_site() -> None:
    made = packer("fgd")
    gang = TaskClass(0, 0, 16)
    assert made.is_gang(gang)
    assert {NODES[s.node].name for s in made.choose(gang)} == {"b1", "b2"}
    made.apply([Share(2, ((3, 250),), 0, 0)])
    assert made.choose(gang) == ()
    assert made.can_ever(gang)
    assert not made.can_ever(TaskClass(0, 0, 17))


def test_closed_nodes_take_nothing_until_opened() -> None:
    made = packer("fgd")
    eight = TaskClass(0, 0, 8)
    made.close([2, 3])
    assert made.choose(eight) == ()
    made.open([3])
    assert [s.node for s in made.choose(eight)] == [3]


def test_a_power_cap_holds() -> None:
    node = NodeSpec("n", 32_000, 1000, 8, "T4", power_cap_w=15 + 8 * 10 + 2 * 60)
    made = Packer([node], POLICIES["fgd"], ClassMix({}, max_cards=8))
    one = TaskClass(0, 0, 1)
    for _ in range(2):
        made.apply(made.choose(one))
    assert made.choose(one) == ()
    assert made.power_w <= 215


def test_taking_more_than_there_is_is_refused_whole() -> None:
    made = packer("fgd")
    with pytest.raises(ValueError, match="has not that much"):
        made.apply([Share(0, ((0, 500),), 0, 0), Share(1, ((0, 1001),), 0, 0)])
    assert made.used_milli == 0


def test_forgetting_changes_and_states_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [(n % 3, n % 7) for n in range(300)]
    plain = play(packer("fgd"), steps)
    monkeypatch.setattr("fleetctl.scheduler.packing.forms.MAX_FORMS", 5)
    monkeypatch.setattr("fleetctl.scheduler.packing.state.KEEP_CHANGES", 3)
    assert play(packer("fgd"), steps) == plain


# ---- what is kept and shared between nodes that are alike, against every node by itself


def by_hand(made: Packer, kind: TaskClass, mix: ClassMix, nodes: list[NodeSpec]) -> tuple[int, tuple[int, ...]] | None:
    """The node and cards of the least growth of fragments, each worked out alone; the rules of ADR 0038."""

    def lost(node: int, cards: tuple[int, ...], cpu: int, memory: int) -> float:
        useful = mix.useful([cards])[0]
        return mix.fragments_of(*mix.step(cpu, memory), sum(cards), useful)

    found = []
    for node, spec in enumerate(nodes):
        cards = tuple(sorted(made.card_milli(node), reverse=True))
        cpu, memory = int(made.cpu_milli[node]), int(made.memory_mib[node])
        right = (not kind.models or spec.model in kind.models) and (not kind.site or spec.site == kind.site)
        if not right or made.closed[node] or cpu < kind.cpu_milli or memory < kind.memory_mib:
            continue
        left = cpu - kind.cpu_milli
        costs = [
            (round(lost(node, after, left, memory - kind.memory_mib) - lost(node, cards, cpu, memory), 6), place, taken)
            for place, (after, taken) in enumerate(card_choices(cards, kind))
        ]
        if costs:
            cost, _, taken = min(costs)
            rest = sum(cards) - kind.demand_milli
            found.append(((round(cost / 30), rest, left // 100), node, taken))
    return min(found)[1:] if found else None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_jobs_that_are_all_different_go_where_every_node_by_itself_would_send_them(
    steps: list[tuple[int, ...]],
) -> None:
    kinds = [
        TaskClass(500 * c, 700 * m, cards, 1000 if cards != 1 or dice < 4 else 97 * dice)
        for c, m, dice, size in steps
        for cards in [(0, 1, 1, 1, 1, 1, 2, 2, 4, 8)[size]]
    ]
    mix = ClassMix(count_classes(kinds), max_cards=8)
    nodes = [replace(n, name=f"{n.name}{i}") for i in range(3) for n in NODES]
    made, running = Packer(nodes, POLICIES["fgd"], mix), []
    for kind, (_, _, dice, _) in zip(kinds, steps, strict=True):
        shares = made.choose(kind)
        best = by_hand(made, kind, mix, nodes)
        assert (best is None) == (not shares)
        if best is not None:
            assert shares[0].node == best[0]
            taken = [made.card_milli(best[0])[place] for place, _ in shares[0].devices]
            assert sorted(taken) == sorted(best[1])
            made.apply(shares)
            running.append(shares)
        if dice < 2 and running:
            made.release(running.pop(dice % len(running)))
        elif dice == 9:
            (made.open if made.closed[dice % len(nodes)] else made.close)([dice % len(nodes)])

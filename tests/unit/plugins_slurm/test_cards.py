"""Jobs joined to single cards: what a node tells by itself, what has to be asked for, and what is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.scheduler.backend import BackendJob
from fleetctl_slurm.cards import Cards, jobs_to_ask, join, key_of, parse_details, parse_indices, parse_parted

DETAILS = """JobId=1 JobName=sbatch
Nodes=a CPU_IDs=8 Mem=1000 GRES=gpu:h100:2(IDX:0-1)
JobId=5 ArrayJobId=3 ArrayTaskId=1 JobName=x
Nodes=b-[02-03] CPU_IDs=0-15 Mem=16000 GRES=gpu:h100:8(IDX:0-7)
JobId=4 JobName=sbatch
Nodes=c CPU_IDs=0 Mem=1000 GRES=npu:910b(CNT:4)
JobId=6 HetJobId=6 HetJobOffset=0 JobName=y
"""


@pytest.mark.parametrize(
    ("text", "cards"),
    [
        ("gpu:h100:4(IDX:0-3),npu:0", (0, 1, 2, 3)),
        ("gpu:h100:3(IDX:0-1,5)", (0, 1, 5)),
        ("gpu:2(IDX:6-7)", (6, 7)),
        ("gpu:h100:8(S:0-1,IDX:0-7)", tuple(range(8))),
        ("gpu:a100:2(IDX:0-1),gpu:l40s:1(IDX:2)", (0, 1, 2)),
        ("gpu:h100:0(IDX:N/A),npu:0", None),
        ("npu:910b(CNT:4)", None),
        ("gpu:1(IDX:0),npu:1(IDX:0)", None),  # whose index would it be?
        ("shard:4(IDX:0)", None),
        ("gpu:1(IDX:99999999999)", ()),
        ("", None),
    ],
)
def test_indices(text: str, cards: Cards | None) -> None:
    assert parse_indices(text) == cards


@pytest.mark.parametrize(
    ("text", "cards"),
    [
        ("gpu:h100:0(IDX:N/A),npu:0,shard:h100:2(IDX:0-1),mps:0", (0, 1)),  # 22.05
        ("gpu:h100:6(IDX:0-5),shard:h100:3(0/4,0/4,0/4,0/4,0/4,0/4,3/4,0/4)", (6,)),  # 24.11, 26.05
        ("shard:3(IDX:1)", (1,)),
        ("shard:2(2/4,0/4)", (0,)),
        ("gpu:2(IDX:6-7)", ()),
        ("shard:h100:0(0/4,0/4)", ()),
    ],
)
def test_cards_of_which_parts_are_given(text: str, cards: Cards) -> None:
    assert parse_parted(text) == cards


def test_several_jobs_on_one_card() -> None:
    """Whole cards are never shared; of a card in parts several jobs have one each."""
    jobs, known = [job("1", "a"), job("2", "a"), job("3", "a")], {}
    for one, cards in zip(jobs, ((6,), (6,), (0,)), strict=True):
        known[key_of(one)] = {"a": cards}
    assert join(jobs, {"a": (0, 6)}, {}, known, {"a": (6,)}) == [{"a": (6,)}, {"a": (6,)}, {"a": (0,)}]
    assert join(jobs, {"a": (0, 6)}, {}, known) == [{}, {}, {}]


def test_details() -> None:
    eight = tuple(range(8))
    assert parse_details(DETAILS) == {"1": {"a": (0, 1)}, "3_1": {"b-02": eight, "b-03": eight}, "4": {}, "6+0": {}}


def job(number: str, *hosts: str, start_at: int = 1) -> BackendJob:
    return BackendJob(number, "n", "u", "running", hosts=hosts, start_at=start_at)


def test_a_node_with_one_job_tells_by_itself() -> None:
    alone = [job("1", "a", "b"), job("2")]
    assert not jobs_to_ask(alone, {"a": (0,), "b": (3,)}, {})
    first, waiting = join(alone, {"a": (0,), "b": (3,)}, {}, {})
    assert first == {"a": (0,), "b": (3,)}
    assert not waiting


def test_all_cards_of_a_node_need_no_index() -> None:
    (one,) = join([job("1", "npu1")], {}, {"npu1": 8}, {})
    assert one == {"npu1": tuple(range(8))}


def test_jobs_that_share_a_node_are_asked_for_once() -> None:
    both = [job("1", "a"), job("2", "a"), job("3", "b")]
    used: dict[str, Cards] = {"a": (0, 1, 2), "b": (5,)}
    asked = jobs_to_ask(both, used, {})
    assert asked == [("1", 1), ("2", 1)]
    known = {asked[0]: {"a": (0, 1)}, asked[1]: {"a": (2,)}}
    assert not jobs_to_ask(both, used, known)
    assert join(both, used, {}, known) == [{"a": (0, 1)}, {"a": (2,)}, {"b": (5,)}]
    again = [job("1", "a", start_at=9), job("2", "a")]
    assert jobs_to_ask(again, used, known) == [("1", 9)], "a requeued job may have other cards"


@pytest.mark.parametrize("claims", [((0, 1), (1,)), ((0,), (7,))])
def test_what_does_not_add_up_is_not_believed(claims: tuple[Cards, Cards]) -> None:
    both = [job("1", "a"), job("2", "a")]
    known = {key_of(j): {"a": cards} for j, cards in zip(both, claims, strict=True)}
    assert not any(join(both, {"a": (0, 1, 2)}, {}, known))


@given(st.text())
def test_garbage_raises_nothing(text: str) -> None:
    parse_indices(text)
    parse_details(f"JobId=1 JobName=a\nNodes={text} GRES={text}\n{text}")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.integers(0, 7))), max_size=8), st.sets(st.integers(0, 7)))
def test_no_card_is_ever_given_to_two_jobs(claims: list[tuple[str, set[int]]], used: set[int]) -> None:
    jobs = [job(str(n), host) for n, (host, _c) in enumerate(claims)]
    known = {key_of(j): {j.hosts[0]: tuple(sorted(c))} for j, (_h, c) in zip(jobs, claims, strict=True)}
    there = {host: tuple(sorted(used)) for host in "abc"}
    taken: set[tuple[str, int]] = set()
    for one in join(jobs, there, {}, known):
        for host, cards in one.items():
            assert set(cards) <= used
            assert not taken & {(host, c) for c in cards}
            taken |= {(host, c) for c in cards}

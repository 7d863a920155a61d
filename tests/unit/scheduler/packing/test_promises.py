"""What the first of a line is promised holds, whatever cards, CPU, memory and power caps others take meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.scheduler.packing.fragments import ClassMix
from fleetctl.scheduler.packing.line import Line
from fleetctl.scheduler.packing.node import NodeSpec
from fleetctl.scheduler.packing.orders import ORDERS
from fleetctl.scheduler.packing.packer import Packer
from fleetctl.scheduler.packing.policies import POLICIES
from fleetctl.scheduler.packing.promises import Ends
from fleetctl.scheduler.packing.state import Floats, Mask, Share
from fleetctl.scheduler.packing.task import TaskClass

NODES = (
    NodeSpec("a", 32_000, 1000, 4, "G3"),
    NodeSpec("b", 64_000, 2000, 2, "G3", power_cap_w=700.0),  # both cards, or one and both packages
    NodeSpec("c", 64_000, 2000, 0),
)
KINDS = st.one_of(
    st.builds(
        lambda cpu, memory, cards, milli: TaskClass(cpu * 1000, memory, cards, milli if cards == 1 else 1000),
        st.sampled_from([0, 4, 8, 12, 16, 24, 32, 64]),
        st.sampled_from([0, 0, 0, 400, 1000]),
        st.sampled_from([0, 1, 1, 1, 2, 4]),
        st.sampled_from([1000, 300, 600]),
    ),
    st.just(TaskClass(cards=6)),  # on no node
)
JOBS = st.lists(st.tuples(KINDS, st.integers(1, 60), st.integers(1, 60), st.integers(0, 40)), min_size=1, max_size=16)


class Play:
    """Jobs that may end earlier than they said, in one line."""

    def __init__(self, jobs: list[tuple[TaskClass, int, int, int]]) -> None:
        self.jobs = jobs
        self.packer = Packer(NODES, POLICIES["best-fit"], ClassMix({}, max_cards=4))
        self.ends = Ends(self.packer)
        self.line = Line(self.packer, self.ends, ORDERS["easy"])
        self.running: dict[int, tuple[int, tuple[Share, ...]]] = {}
        self.started: dict[int, int] = {}
        self.now = 0

    def expected(self, job: int) -> float:
        return float(self.jobs[job][1])

    def allowed(self, job: int) -> Mask | None:
        return None

    def ready(self, job: int) -> Callable[[Floats], None] | None:
        return None

    def start(self, job: int, shares: tuple[Share, ...], expected: float) -> None:
        self.packer.apply(shares)
        self.ends.start(job, shares, self.now + expected)
        _kind, said, real, _at = self.jobs[job]
        self.running[job] = (self.now + min(said, real), shares)
        self.started[job] = self.now

    def run(self) -> None:
        coming = sorted((at, job) for job, (*_, at) in enumerate(self.jobs))
        promised: dict[int, float] = {}
        while coming or self.running:
            self.now = min([at for at, _ in coming] + [end for end, _ in self.running.values()])
            for job in [j for j, (end, _) in self.running.items() if end <= self.now]:
                _, shares = self.running.pop(job)
                self.packer.release(shares)
                self.ends.stop(job, shares)
            while coming and coming[0][0] <= self.now:
                at, job = coming.pop(0)
                if self.packer.can_ever(self.jobs[job][0]):
                    self.line.add(job, self.jobs[job][0], (at, job))
            before = set(self.started)
            look = self.line.serve(self.now, self)
            for job in self.started.keys() - before:
                assert self.now <= promised.get(job, self.now), f"job {job} was promised {promised[job]}"
            for job, promise in look.promises[:1]:
                assert promise.at <= promised.setdefault(job, promise.at)
        assert not self.line.waiting()


@settings(max_examples=200, deadline=None)
@given(JOBS)
def test_the_first_of_a_line_is_never_later_than_promised(jobs: list[tuple[TaskClass, int, int, int]]) -> None:
    Play(jobs).run()


def test_a_head_that_lacks_cpu_is_promised_the_first_end_that_gives_enough() -> None:
    """Its cards are free all the time. All of the node is free at 90 only."""
    play = Play(
        [
            (TaskClass(20_000), 30, 30, 0),
            (TaskClass(4_000), 90, 90, 0),
            (TaskClass(24_000, cards=2), 10, 10, 0),
            (TaskClass(4_000, cards=1), 500, 500, 0),
            (TaskClass(1_000, cards=1), 500, 500, 0),
        ]
    )
    play.packer.close([1, 2])
    for job, (kind, *_) in enumerate(play.jobs):
        play.line.add(job, kind, (0, job))
    look = play.line.serve(0.0, play)
    ((head, promise),) = look.promises
    assert (head, promise.at) == (2, 30.0)
    assert sorted(play.started) == [0, 1, 3]  # the last would leave 23 of 24 CPUs


def test_a_head_that_a_power_cap_keeps_out_is_promised_when_enough_has_ended() -> None:
    play = Play([(TaskClass(4_000, cards=1), 50, 50, 0), (TaskClass(36_000, cards=1), 10, 10, 0)])
    play.packer.close([0, 2])
    for job, (kind, *_) in enumerate(play.jobs):
        play.line.add(job, kind, (0, job))
    look = play.line.serve(0.0, play)
    assert [(job, promise.at) for job, promise in look.promises] == [(1, 50.0)]

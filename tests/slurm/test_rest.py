"""slurmrestd of 24.11 and 26.05: the same model as the commands give, the same verbs, and what its errors mean."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from fleetctl.config.schema import Scheduler
from fleetctl.errors import AuthError, ConflictError, FleetctlError, NotFoundError, UnreachableError
from fleetctl.model.lease import RequestState, Shape
from fleetctl.model.states import Admin
from fleetctl.operations.allocate import allocate, make_request, release
from fleetctl.scheduler.backend import BackendView, Capability
from fleetctl.scheduler.outside import Lane
from fleetctl.store.requests import get_request
from fleetctl_slurm.rest_backend import RestBackend, make_slurm

from .conftest import NODES, PERSON, Bed, Desk

pytestmark = pytest.mark.peers


@pytest.fixture
def settings(bed: Bed, desk: Desk, tmp_path: Path) -> Scheduler:
    token = tmp_path / "token"
    token.write_text(bed.control("token"))
    token.chmod(0o600)
    here = desk.config.schedulers[0]
    return replace(here, rest=bed.address("SLURMRESTD_URL"), token_file=str(token), reserve_for="users")


@pytest.fixture
def rest(desk: Desk, settings: Scheduler) -> RestBackend:
    made = make_slurm(settings, desk.shell, desk.clock)
    assert isinstance(made, RestBackend)
    return made


def plain(view: BackendView) -> object:
    """What both ways must agree on."""
    nodes = {h: replace(n, word="", since_at=None) for h, n in view.nodes.items()}
    jobs = {j.id: replace(j, reason="", start_at=None if not j.hosts else j.start_at) for j in view.jobs}
    parts = {name: set(hosts) for name, hosts in view.partitions.items()}
    return {h: replace(n, partitions=tuple(sorted(n.partitions))) for h, n in nodes.items()}, jobs, parts


async def test_both_ways_say_the_same(bed: Bed, desk: Desk, rest: RestBackend) -> None:
    bed.job("osl-h100-01", 2, "-n1", "--comment=[fleetctl r-1]")
    bed.job("osl-h100-01", 3, "-n1", "-t", "60")
    bed.job("osl-h100-02", 8, "-N2", "-w", "osl-h100-02,osl-h100-03")
    bed("sbatch", "-p", "osl-h100", "-N3", "--exclusive", "--array=1-3%1", stdin="#!/bin/sh\nsleep 9\n")
    bed("sbatch", "-p", "all", "-N4", "--exclusive", stdin="#!/bin/sh\nsleep 9\n")
    bed("scontrol", "update", "nodename=szx-910b-01", "state=drain", "reason=xid|79, gpu 3")
    bed("scontrol", "update", "nodename=osl-h100-02", "state=drain", "reason=[fleetctl p-1] hw: fan")
    by_command, by_rest = await desk.backend.read(), await rest.read()
    assert plain(by_rest) == plain(by_command)
    assert [n.word for n in by_rest.nodes.values()] == [n.word for n in by_command.nodes.values()]
    assert by_rest.version == by_command.version
    assert len({j.places["osl-h100-01"] for j in by_rest.jobs if "osl-h100-01" in j.places}) == 2
    one = await rest.read_node("osl-h100-02")
    assert (one.state, one.ours, one.owner) == (Admin.DRAINING, True, "root")


async def test_its_verbs(bed: Bed, desk: Desk, rest: RestBackend) -> None:
    able = await rest.capabilities()
    assert Capability.DRAIN in able
    await rest.drain("osl-h100-03", "[fleetctl p-2] hw: it's out")
    assert bed.state("osl-h100-03") == "idle+drain"
    await rest.resume("osl-h100-03")
    assert bed.takes_work("osl-h100-03")
    job = await rest.submit(
        "#!/bin/sh\nexec sleep 600\n",
        name="probe",
        partition="osl-h100",
        nodes=1,
        cards=2,
        duration_s=600,
        mark="o-rest",
    )
    bed.wait(lambda: bed("squeue", "-h", "-j", job, "-o", "%T") == "RUNNING")
    assert await rest.find("o-rest") == job
    await rest.set_end(job, int(time.time()), int(time.time()) + 7200)
    assert bed("squeue", "-h", "-j", job, "-o", "%l") == "2:00:00"
    await rest.cancel(job)
    bed.wait(lambda: not bed("squeue", "-h", "-j", job))
    assert await rest.fates([job, "987654"]) == {job: "cancelled"} == await desk.backend.fates([job, "987654"])
    start = int(time.time()) + 600
    if Capability.RESERVE in able:
        name = await rest.reserve("r-1", ["osl-h100-02"], start, start + 600, users=(), maint=True)
        (held,) = (await rest.read()).reservations
        assert (held.name, held.hosts, held.start_at, held.ours) == (name, ("osl-h100-02",), start, True)
        await rest.unreserve(name)
    else:
        with pytest.raises(ConflictError, match="has no POST reservation") as caught:
            await rest.reserve("r-1", ["osl-h100-02"], start, start + 600, users=(), maint=True)
        assert "commands can" in caught.value.hint
    for wrong, error in (
        (rest.cancel("987654"), NotFoundError),
        (rest.read_node("nosuch"), NotFoundError),
        (rest.resume("osl-h100-03"), ConflictError),
    ):
        with pytest.raises(error):
            await wrong
    levels = {a.level for a in await rest.diagnose()}
    assert levels <= {"ok", "warn"}


async def test_a_lease_by_rest(bed: Bed, desk: Desk, rest: RestBackend, settings: Scheduler) -> None:
    desk.lane = Lane(settings, rest, desk.db, desk.inventory, desk.clock, desk.config)
    await desk.until(lambda: desk.node("szx-910b-01").outside is not None)
    for shape in (Shape(cards=4, site="szx"), Shape(nodes=2, cards=0, site="osl", not_hosts=("osl-h100-01",))):
        request = make_request(desk.config, "root", shape, who=PERSON, now=desk.now, duration_s=3600)
        allocate(desk.db, desk.inventory, request, PERSON, now=desk.now, config=desk.config)

        def state(name: str = request.id) -> RequestState:
            with desk.db.read() as conn:
                found = get_request(conn, name)
            assert found is not None
            return found.state

        await desk.until(lambda state=state: state() is RequestState.GRANTED)
    assert not desk.node("osl-h100-01").leases
    release(desk.db, request.id, PERSON, now=desk.now, config=desk.config)
    await desk.until(lambda: not desk.node("osl-h100-02").jobs)


async def test_a_drain_by_rest(bed: Bed, desk: Desk, rest: RestBackend, settings: Scheduler) -> None:
    desk.lane = Lane(settings, rest, desk.db, desk.inventory, desk.clock, desk.config)
    await desk.until(lambda: desk.node("osl-h100-01").outside is not None)
    desk.drain("osl-h100-01")
    await desk.until(lambda: desk.node("osl-h100-01").admin is Admin.DRAINED)
    assert bed.state("osl-h100-01") == "idle+drain"
    desk.apply(desk.resume("osl-h100-01"))
    await desk.until(lambda: bed.takes_work("osl-h100-01"))


async def test_an_unusable_answer_is_none(bed: Bed, desk: Desk, settings: Scheduler, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("SLURM_JWT=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.bad\n")
    (tmp_path / "bad").chmod(0o600)
    (tmp_path / "open").write_text("x" * 40)
    (tmp_path / "open").chmod(0o644)
    cases: list[tuple[dict[str, str], type[FleetctlError], str]] = [
        ({"token_file": str(tmp_path / "bad")}, AuthError, "(?i)authentication"),
        ({"token_file": str(tmp_path / "none")}, AuthError, "cannot read"),
        ({"token_file": str(tmp_path / "open")}, AuthError, "read by others"),
        ({"token_file": "", "token_command": "false"}, AuthError, "status 1"),
        ({"token_file": "", "token_command": "echo nothing here"}, AuthError, "no token"),
        ({"rest": "http://127.0.0.1:1"}, UnreachableError, "127.0.0.1"),
        ({"rest": "unix:/nosuch"}, UnreachableError, "nosuch"),
    ]
    for more, error, words in cases:
        backend = RestBackend(replace(settings, **more), desk.clock)  # type: ignore[arg-type]
        with pytest.raises(error, match=words):
            await backend.read()
    bed.kill("ctld")
    try:
        with pytest.raises(UnreachableError, match="controller"):
            await RestBackend(settings, desk.clock).read()
    finally:
        bed.control("fault", "revive", "ctld")
        bed.wait(bed.answers)


async def test_by_its_unix_socket(bed: Bed, desk: Desk, settings: Scheduler) -> None:
    here = replace(settings, rest=f"unix:{bed.address('SLURMRESTD_SOCKET')}")
    assert set((await RestBackend(here, desk.clock).read()).nodes) == set(NODES)

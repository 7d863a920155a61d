"""slurmrestd as it answered on 24.11 and 26.05, and as it should never answer: refused, half, empty, foreign, hostile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.config.schema import Scheduler
from fleetctl.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    FleetctlError,
    NotFoundError,
    ParseError,
    UnreachableError,
)
from fleetctl.model.states import Admin
from fleetctl.scheduler.backend import Capability
from fleetctl_slurm.json_answers import job_name, read_cards, read_jobs, read_nodes, read_reservations
from fleetctl_slurm.rest_backend import RestBackend, make_slurm
from tests.fakes.clock import FakeClock

FIXTURES = Path(__file__).parents[2] / "fixtures" / "slurm"
Answer = tuple[int, object]
VERSION = {"24.11.5": "v0.0.42", "26.05.5": "v0.0.45"}


def recorded(release: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / release / f"{name}.json").read_text())
    return found


class Daemon(BaseHTTPRequestHandler):
    """Answers by path; bytes are sent as they are, without a header of their own length."""

    answers: ClassVar[dict[str, Answer]] = {}
    tokens: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        type(self).tokens.append(self.headers.get("X-SLURM-USER-TOKEN"))
        status, body = self.answers.get(f"{self.command} {self.path}", (404, {"errors": [{"error": "no such path"}]}))
        if isinstance(body, list):  # one answer for each time it is asked
            status, body = body.pop(0)
        text = body if isinstance(body, bytes) else json.dumps(body, indent=2).encode()  # as it prints
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        if status == 422:
            self.wfile.write(b"HTTP/1.1 500 as slurmrestd 26.05 does\r\n\r\n")

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def daemon() -> Iterator[Callable[..., RestBackend]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Daemon)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def make(release: str = "26.05.5", settings: dict[str, object] | None = None, **answers: Answer) -> RestBackend:
        version = VERSION[release]
        offered = {
            f"/slurm/{version}/node/{{node_name}}": {"post": {}},
            f"/slurm/{version}/job/{{job_id}}": {"delete": {}},
        }
        Daemon.tokens = []
        Daemon.answers = {
            "GET /openapi/v3": (200, {"paths": {**offered, "/slurm/v0.0.99/nodes/": {}, "/slurm/v0.0.40/nodes/": {}}}),
            f"GET /slurm/{version}/ping/": (200, {"pings": [{"responding": True}], "errors": []}),
            f"GET /slurm/{version}/nodes/": (200, recorded(release, "nodes")),
            f"GET /slurm/{version}/jobs/?flags=ALL": (200, recorded(release, "jobs")),
            f"GET /slurm/{version}/jobs/?flags=DETAIL": (200, recorded(release, "jobsdetail")),
            f"GET /slurm/{version}/reservations/": (200, recorded(release, "reservations")),
        }
        for path, answer in answers.items():
            Daemon.answers[path.replace("VERSION", version)] = answer
        words: dict[str, Any] = {"site": "s", "rest": f"http://127.0.0.1:{server.server_port}", **(settings or {})}
        made = make_slurm(Scheduler(**words), None, FakeClock())  # type: ignore[arg-type]
        assert isinstance(made, RestBackend)
        return made

    yield make
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("release", ["24.11.5", "26.05.5"])
async def test_recorded(daemon: Callable[..., RestBackend], release: str) -> None:
    backend = daemon(release)
    view = await backend.read()
    assert view.version == release
    assert list(view.nodes) == ["osl-h100-01", "osl-h100-02", "osl-h100-03", "szx-910b-01"]
    assert {n.cards for n in view.nodes.values()} == {8}
    assert view.nodes["szx-910b-01"].state in (Admin.DRAINING, Admin.DRAINED)
    assert (view.nodes["szx-910b-01"].reason, view.nodes["szx-910b-01"].owner) == ("x y", "root")
    jobs = {j.id: j for j in view.jobs}
    assert (jobs["6"].places, jobs["7"].places) == ({"osl-h100-01": (0, 1)}, {"osl-h100-01": (2, 3)})
    assert (jobs["6"].mark, jobs["6"].cards, jobs["6"].state) == ("r-1", 2, "running")
    assert next(j for j in view.jobs if not j.hosts).id in ("8_[2]", "8_2")
    assert [(w.name, w.hosts) for w in view.reservations] == [("m1", ("osl-h100-02",))]
    assert set(view.partitions["all"]) == set(view.nodes)
    assert Capability.RESERVE not in await backend.capabilities()


REFUSED = {"nodes": [], "errors": [{"description": "Failure to query nodes", "error": "Protocol authentication error"}]}


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((500, REFUSED), AuthError, "authentication"),
        ((511, REFUSED), AuthError, "authentication"),
        ((401, b"Authentication failure"), AuthError, "Authentication failure"),
        (
            (200, {"nodes": [], "errors": [{"error": "Unable to contact slurm controller"}]}),
            UnreachableError,
            "contact",
        ),
        ((200, {"nodes": [], "errors": []}), ParseError, "no node at all"),
        ((200, {"nodes": {"a": 1}, "errors": []}), ParseError, "no node at all"),
        ((200, {"nodes": [{"name": 1}] * 9, "errors": []}), ParseError, "nobody here knows"),
        ((200, b'{"nodes": [{"name": "a", '), ParseError, "half an answer"),
        ((200, b"[" * 100_000), ParseError, "half an answer"),
        ((200, b"<html>a proxy</html>"), ParseError, "half an answer"),
        ((502, b"\x1b[31mred\x1b[0m"), ConflictError, "HTTP 502"),
    ],
)
async def test_an_answer_that_cannot_be_used(
    daemon: Callable[..., RestBackend], answer: Answer, error: type[FleetctlError], words: str
) -> None:
    backend = daemon(**{"GET /slurm/VERSION/nodes/": answer})
    with pytest.raises(error, match=words) as caught:
        await backend.read()
    assert str(caught.value).isprintable()


async def test_versions_nobody_compared_are_not_spoken(daemon: Callable[..., RestBackend]) -> None:
    old = {"paths": {"/slurm/v0.0.37/nodes/": {"get": {}}, "/slurm/v0.0.38/nodes/": {"get": {}}}}
    with pytest.raises(ConflictError, match=r"v0.0.37, v0.0.38") as caught:
        await daemon(**{"GET /openapi/v3": (200, old)}).read()
    assert "commands work" in caught.value.hint
    with pytest.raises(ConflictError, match="none"):
        await daemon(**{"GET /openapi/v3": (200, {"paths": ["?"]})}).read()
    with pytest.raises(ConfigError, match="no address"):
        daemon(settings={"rest": "login1:6820"})


async def test_a_token_that_expired_is_read_anew(daemon: Callable[..., RestBackend], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("SLURM_JWT=eyJ.first\n")
    token.chmod(0o600)
    nodes = [(500, REFUSED), (200, recorded("26.05.5", "nodes"))]
    backend = daemon(settings={"token_file": str(token)}, **{"GET /slurm/VERSION/nodes/": (200, nodes)})
    await backend.capabilities()
    token.write_text("eyJ.second")
    await backend.read()
    assert list(dict.fromkeys(Daemon.tokens)) == ["eyJ.first", "eyJ.second"]


async def test_what_a_refused_write_means(daemon: Callable[..., RestBackend]) -> None:
    error = {"errors": [{"description": "Failure to update node a", "error": "Invalid node state transition"}]}
    path = "POST /slurm/VERSION/node/a"
    with pytest.raises(ConflictError, match="transition"):
        await daemon(**{path: (422, error)}).resume("a")
    refused = {"errors": [{"error": "Invalid user id"}]}
    with pytest.raises(AuthError, match="user id"):
        await daemon(**{path: (500, refused)}).drain("a", "x")
    gone = {"status": [{"error": {"string": "Invalid job id specified", "code": 2017}}], "errors": []}
    with pytest.raises(NotFoundError):
        await daemon(**{"DELETE /slurm/VERSION/job/5": (200, gone)}).cancel("5")
    with pytest.raises(ConflictError, match="read only"):
        await daemon(settings={"read_only": True}).drain("a", "x")
    for bad in (daemon().cancel("1; id"), daemon().drain("a/../b", "x"), daemon().unreserve("theirs")):
        with pytest.raises(FleetctlError):
            await bad
    assert [a.level for a in await daemon(**{"GET /openapi/v3": (500, b"")}).diagnose()] == ["bad"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("name", "state", "gres", "gres_used", "partitions", "job_id", "job_state", "nodes", "start_time", "gres_detail",
        "node_list", "flags", "array_job_id", "array_task_id", "reason", "alloc_cpus", "node_count")  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON), max_size=4))
def test_garbage_raises_only_what_is_declared(things: list[dict[str, Any]]) -> None:
    answer = {"nodes": things, "jobs": things, "reservations": things}
    try:
        read_nodes(answer, str)
    except ParseError:
        pass
    read_jobs(answer, str, ended=True)
    read_cards(answer, str)
    read_reservations(answer, str)
    assert all(isinstance(job_name(one), str) for one in things)

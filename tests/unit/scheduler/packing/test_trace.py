from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.errors import NotFoundError, UsageError
from fleetctl.scheduler.packing.task import Task, TaskClass
from fleetctl.scheduler.packing.trace import read_jobs, read_nodes

OPENB = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
)
OWN = "job,submit_s,duration_s,gpus"


def file(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if not name.endswith(".gz") else gzip.compress(text.encode()))
    return path


def test_openb_jobs_in_order_of_the_file(tmp_path: Path) -> None:
    text = OPENB + "p2,12000,16384,1,460,V100M32|V100M16,LS,Running,5,105,25\np1,2000,64,0,,,BE,Failed,7,9,\n"
    for name in ("t.csv", "t.csv.gz"):
        assert read_jobs(file(tmp_path, text, name)) == [
            Task("p2", TaskClass(12000, 16384, 1, 460, ("V100M16", "V100M32")), 5.0, 80.0),
            Task("p1", TaskClass(2000, 64), 7.0, 2.0),
        ]


def test_openb_without_its_last_columns(tmp_path: Path) -> None:
    jobs = read_jobs(file(tmp_path, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,2,8,1000\n"))
    assert jobs == [Task("p", TaskClass(1, 2, 8))]


def test_own_jobs_with_every_column(tmp_path: Path) -> None:
    text = f"{OWN},gpu_milli,cpu_milli,memory_mib,model,tenant,estimate_s,site,movable\nj,1.5,60,2,500,1000,64,G2,t,90,east,1\n"
    kind = TaskClass(1000, 64, 2, 500, ("G2",), "east")
    free = TaskClass(1000, 64, 2, 500, ("G2",))
    assert read_jobs(file(tmp_path, text)) == [Task("j", kind, 1.5, 60.0, 90.0, "t", free)]


def test_own_jobs_with_the_first_four(tmp_path: Path) -> None:
    assert read_jobs(file(tmp_path, OWN + "\nj,0,60,16\n\n")) == [Task("j", TaskClass(cards=16), 0.0, 60.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OWN + "\nj,0,60,two\n", "line 2, column gpus (number 4): 'two' is not a number"),
        (OWN + "\nj,0,60,1.5\n", "line 2, column gpus (number 4): 1.5 is not a whole number"),
        (OWN + "\nj,0,60,-1\n", "column gpus"),
        (OWN + "\nj,,60,1\n", "line 2, column submit_s (number 2): a number is missing"),
        (OWN + "\nj,nan,60,1\n", "column submit_s"),
        (OWN + "\n,0,60,1\n", "line 2, column job (number 1): a job needs a name"),
        (OWN + ",gpu_milli\nj,0,60,1,2000\n", "column gpu_milli (number 5): 2000 is not in 1..1000"),
        (OWN + ",movable\nj,0,60,1,perhaps\n", "column movable"),
        (OWN + "\nj,0,60,1\nk,0,60,1,9\n", "line 3, column 5"),
        ("job,submit_s,length,gpus\n", "line 1, column duration_s: it is missing; column 3 is 'length'"),
        ("name,cpu_milli,memory_mib,num_gpu\n", "line 1, column gpu_milli: it is missing"),
        ("", "line 1, column name: it is missing"),
        (OWN + ",gpus\nj,0,60,1,2\n", "line 1, column gpus (number 5): it stands there twice"),
        (OWN + "\nj,1_0,60,1\n", "line 2, column submit_s (number 2): '1_0' is not a number"),
        (OWN + "\nj,\uff11,60,1\n", "line 2, column submit_s"),
        (OWN + "\n" + "x" * 70_000, "longer than"),
        (OWN + "\nj\0,0,60,1\n", "line 2"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_column(tmp_path: Path, text: str, words: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_jobs(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.hint


def test_nodes_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    head = "sn,cpu_milli,memory_mib,gpu,model,site,rack,power_cap_w\n"
    (node,) = read_nodes(file(tmp_path, head + "n,1000,64,8,G2,east,r1,1500\n"))
    assert (node.name, node.cards, node.site, node.rack, node.power_cap_w) == ("n", 8, "east", "r1", 1500.0)
    for text, words in (
        (head + "n,1,1,8,G2\nn,1,1,8,G2\n", "line 3, column sn (number 1): n stands here twice"),
        (head + "n,1,1,1000000,G2\n", "column gpu (number 4): 1e+06 is more than 256"),
        (head, "no nodes"),
        ("sn,cpu,memory_mib,gpu,model\n", "column cpu_milli: it is missing; column 2 is 'cpu'"),
    ):
        with pytest.raises(UsageError) as caught:
            read_nodes(file(tmp_path, text))
        assert words in str(caught.value)


def test_a_file_that_is_missing_cut_or_no_archive(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_jobs(tmp_path / "none.csv")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress((OWN + "\n" + "j,0,60,1\n" * 5000).encode())[:40])
    plain = tmp_path / "plain.csv.gz"
    plain.write_text(OWN)
    for path in (cut, plain, tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_jobs(path)


def test_what_is_no_utf8_is_named_and_an_archive_is_known_by_how_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(OWN.encode() + "\nj,0,60,1\n任务,0,60,1\n".encode("gb18030"))
    with pytest.raises(UsageError, match="line 3: not UTF-8"):
        read_jobs(path)
    path.write_bytes(gzip.compress(("\ufeff" + OWN + "\r\n任务,0,60,1\r\n").encode()))
    assert [j.name for j in read_jobs(path)] == ["任务"]


def test_an_archive_that_unpacks_for_ever_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetctl.scheduler.packing.trace.MAX_BYTES", 10_000)
    with pytest.raises(UsageError, match="of text"):
        read_jobs(file(tmp_path, OWN + "\n" * 20_000, "t.csv.gz"))
    monkeypatch.setattr("fleetctl.scheduler.packing.trace.MAX_JOBS", 3)
    with pytest.raises(UsageError, match="line 5: more than 3 lines"):
        read_jobs(file(tmp_path, OWN + "\nj,0,60,1" * 9))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_a_usage_error_or_a_trace(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(OWN.encode() + b"\n" + text)
    try:
        jobs = read_jobs(path)
    except UsageError:
        return
    assert all(job.name and job.kind.cards >= 0 for job in jobs)

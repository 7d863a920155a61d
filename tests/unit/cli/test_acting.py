"""The acting commands as a script calls them: streams, formats, exit codes, and what happens without a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleetctl.cli.app import run
from tests.fakes.fleet import SchedulerFleet

FLEET = """
[[sites]]
name = "s1"
max_drain_pct = 50

[[sites]]
name = "s2"
max_drain_pct = 100

[[racks]]
name = "r1"
site = "s1"
nodes = "n[01-08]"

[[pools]]
name = "train"
nodes = "n[01-16]"
max_drain_pct = 60

[[hosts]]
nodes = "n[01-16]"
site = "s1"
chip = "H100 SXM5 80GB"
cards = 8

[[hosts]]
nodes = "m[01-04]"
site = "s2"
chip = "Ascend 910B"
cards = 8

[[tenants]]
name = "lab"
max_cards = 16

[[prices]]
chip = "H100 SXM5 80GB"
amount = 10

[store]
path = "{db}"
"""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    (tmp_path / "fleet.toml").write_text(FLEET.format(db=tmp_path / "fleet.db"))
    monkeypatch.setenv("FLEETCTL_CONFIG", str(tmp_path / "fleet.toml"))
    monkeypatch.setenv("FLEETCTL_LANG", "en")
    with SchedulerFleet.make(tmp_path / "fleet.db").db:
        pass
    return Cli(capsys, monkeypatch)


class Cli:
    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, line: str, *, reason: str = "") -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of one command line."""
        words = line.split() + (["--reason", reason] if reason else [])
        self._monkeypatch.setattr("sys.argv", ["fleetctl", *words])
        code = run(words)
        out = self._capsys.readouterr()
        return code, out.out, out.err


def test_drain_needs_a_reason_and_says_how_to_write_it(cli: Cli) -> None:
    code, out, err = cli("drain n01 --yes")
    assert (code, out) == (2, "")
    assert "class: text" in err


def test_without_a_terminal_the_missing_flag_is_named(cli: Cli) -> None:
    code, out, err = cli("drain n01", reason="hw: fan")
    assert (code, out) == (2, "")
    assert "--yes" in err


def test_dry_run_shows_the_same_plan_and_changes_nothing(cli: Cli) -> None:
    code, out, _ = cli("drain n01 --dry-run -o json", reason="hw: fan")
    plan = json.loads(out)
    assert (code, plan["nodeset"], plan["reason"], plan["refused"]) == (0, "n01", "hw: fan", False)
    assert cli("plans --all -o json")[1] == "[]\n"


def test_drain_show_undo(cli: Cli) -> None:
    code, out, _ = cli("drain n01 --yes -o json --ticket T-7", reason="hw: fan")
    action = json.loads(out)
    assert (code, action["state"], action["done"]) == (0, "done", 1)
    shown = json.loads(cli(f"plans show {action['plan']} -o json")[1])
    assert shown["plan"]["ticket"] == "T-7"
    code, out, err = cli("drain n01 --yes -o json", reason="hw: fan")
    assert (code, json.loads(out)["total"]) == (0, 0)
    assert "drained already by person:" in err
    assert cli(f"plans undo {action['plan'][:6]} --yes")[0] == 0
    assert [e["verb"] for e in json.loads(cli("audit show n01 -o json")[1])] == ["drain", "undo"]


def test_a_large_share_of_a_site_needs_the_number(cli: Cli) -> None:
    code, _, err = cli("cordon n[01-04] --yes", reason="net: switch")
    assert code == 2
    assert "--count 4" in err
    assert cli("cordon n[01-04] --count 5", reason="net: switch")[0] == 2
    assert cli("cordon n[01-04] --count 4", reason="net: switch")[0] == 0


def test_a_guard_is_a_conflict_and_shows_the_plan(cli: Cli) -> None:
    code, out, err = cli("drain n[01-09] --yes", reason="hw: fan")
    assert (code, out) == (5, "")
    assert "over the limit of 8" in err


def test_unknown_nodes_are_not_found(cli: Cli) -> None:
    code, _, err = cli("drain n99 --yes", reason="hw: fan")
    assert code == 3
    assert "n99" in err


def test_alloc_leases_release(cli: Cli) -> None:
    code, out, _ = cli("alloc --tenant lab --cards 4 --chip h100 --for 2h -o json")
    granted = json.loads(out)
    assert (code, granted["state"], len(granted["lease"]["holds"])) == (0, "granted", 4)
    lease = granted["lease"]["id"]
    rows = json.loads(cli("leases -o json")[1])
    assert [(r["id"], r["cards"]) for r in rows] == [(lease, 4.0)]
    assert json.loads(cli(f"leases show {lease}")[1])["env"]["n01"]["FLEETCTL_CARDS"] == "0,1,2,3"
    assert cli(f"leases renew {lease} --until 4h")[0] == 0
    assert cli(f"release {lease} --yes")[1].strip() == lease
    assert cli(f"release {lease} --yes")[0] == 1
    assert json.loads(cli("quota -o json")[1])[0]["used_cards"] == 0


def test_place_says_where_what_it_costs_and_why_not(cli: Cli) -> None:
    code, out, _ = cli("place --tenant lab --nodes 2 --cards 8 --chip h100 --for 3h -o json")
    quote = json.loads(out)
    assert code == 0
    assert quote["hosts"] == ["n01", "n02"]
    assert quote["cost"] == 2 * 8 * 10 * 3
    assert quote["refusals"]["m01"] == "has Ascend 910B, not h100"


def test_what_can_never_fit_is_said_at_once_with_the_nearest(cli: Cli) -> None:
    code, _, err = cli("alloc --tenant other --cards 16")
    assert code == 5
    assert "can never fit" in err
    assert "--nodes 2 --cards 8" in err
    code, _, err = cli("alloc --tenant lab --nodes 3 --cards 8")
    assert code == 5
    assert "quota" in err


def test_what_has_to_wait_says_so_and_now_refuses(cli: Cli) -> None:
    assert cli("alloc --tenant big --nodes 16 --cards 8 --chip h100 --for 1h")[0] == 0
    code, out, _ = cli("alloc --tenant lab --cards 8 --chip h100 --for 1h -o json")
    assert (code, json.loads(out)["state"]) == (0, "queued")
    table = json.loads(cli("queue --fragments -o json")[1])
    assert [(r["chip"], r["free"], r["stranded"]) for r in table] == [
        ("Ascend 910B", 32.0, 32.0),
        ("H100 SXM5 80GB", 0, 0),
    ]
    assert table[0]["why"] == "has Ascend 910B, not h100"
    assert "can start at 20" in json.loads(cli("queue -o json")[1])[0]["note"]
    code, _, err = cli("alloc --tenant lab --cards 8 --chip h100 --now")
    assert code == 5
    assert "cannot start now" in err


def test_reserve_holds_nodes_for_a_tenant(cli: Cli) -> None:
    code, out, _ = cli("reserve add n[01-16] --tenant big --for 4h")
    held = out.strip()
    assert code == 0
    assert cli("alloc --tenant lab --cards 8 --chip h100 --now --for 1h")[0] == 5
    assert cli(f"alloc --tenant big --cards 8 --chip h100 --now --for 1h --reservation {held}")[0] == 0
    assert cli("reserve add n01 --tenant lab --for 1h")[0] == 5
    assert cli(f"reserve cancel {held}")[0] == 0
    assert cli("reserve -o json")[1] == "[]\n"


def test_audit_verify_finds_an_edited_export(cli: Cli, tmp_path: Path) -> None:
    cli("drain n01 --yes", reason="hw: fan")
    assert cli("audit verify")[0] == 0
    export = tmp_path / "audit.jsonl"
    assert cli(f"audit export {export}")[0] == 0
    assert cli(f"audit verify {export}")[0] == 0
    lines = export.read_text().splitlines()
    export.write_text("\n".join(lines).replace("hw: fan", "hw: fin") + "\n")
    code, _, err = cli(f"audit verify {export}")
    assert code == 1
    assert "content was changed" in err
    export.write_text("\n".join(lines[:-1]) + "\n")
    head = json.loads(lines[-1])["hash"]
    assert cli(f"audit verify {export}")[0] == 0
    assert cli(f"audit verify {export} --head {head}")[0] == 1


def test_life_from_staged_to_retired(cli: Cli) -> None:
    for verb in ("stage", "burn-in", "accept"):
        assert cli(f"life {verb} m01 --yes", reason="maint: new node")[0] == 0, verb
    assert cli("quarantine m01 --yes", reason="hw: xid 79")[0] == 0
    code, _, err = cli("resume m01 --yes")
    assert code == 5
    assert "recheck" in err
    assert cli("life rma m01 --yes --back 10d", reason="hw: board")[0] == 0
    assert cli("life retire m01 --yes", reason="hw: board")[0] == 0
    assert cli("life fly m01 --yes")[0] == 2


def test_recheck_says_what_cannot_be_answered(cli: Cli) -> None:
    code, out, err = cli("recheck n01")
    assert code == 1
    assert "n01: does not pass" in out
    assert "last answer" in out
    assert "do not pass" in err

import base64
import hashlib
import hmac
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import HostKeyError
from fleetctl.transport.host_keys import HostKeys, Policy, Verdict
from fleetctl.transport.known_hosts import KnownHostsFile, fingerprint, key_text
from fleetctl.transport.target import Target


def blob(number: int, key_type: str = "ssh-ed25519") -> bytes:
    name = key_type.encode()
    return len(name).to_bytes(4, "big") + name + (32).to_bytes(4, "big") + bytes([number]) * 32


def line(names: str, key: bytes, marker: str = "") -> str:
    key_type = key[4 : 4 + int.from_bytes(key[:4], "big")].decode()
    return f"{marker + ' ' if marker else ''}{names} {key_type} {key_text(key)}\n"


def hashed(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.encode(), hashlib.sha1)
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def keys(tmp_path: Path, text: str, policy: Policy = Policy.STRICT, store: str | None = None) -> HostKeys:
    (tmp_path / "known_hosts").write_text(text)
    return HostKeys(policy, tmp_path / store if store else None)


def target(tmp_path: Path, hostname: str = "gpu1", port: int = 22) -> Target:
    return Target("gpu1", hostname, port, "ops", known_hosts=(str(tmp_path / "known_hosts"),))


def test_plain_hashed_and_patterns(tmp_path: Path) -> None:
    known = keys(
        tmp_path,
        "# comment\n\n" + line("gpu1,10.0.0.1", blob(1)) + line(hashed("gpu2"), blob(2)) + line("cpu*,!cpu9", blob(3)),
    )
    for name, key, verdict in [
        ("gpu1", 1, Verdict.TRUSTED),
        ("GPU1", 1, Verdict.TRUSTED),
        ("10.0.0.1", 1, Verdict.TRUSTED),
        ("gpu1", 2, Verdict.CHANGED),
        ("gpu2", 2, Verdict.TRUSTED),
        ("gpu2", 1, Verdict.CHANGED),
        ("cpu1", 3, Verdict.TRUSTED),
        ("cpu9", 3, Verdict.UNKNOWN),
        ("gpu3", 1, Verdict.UNKNOWN),
    ]:
        assert known.judge(target(tmp_path, name), blob(key)).verdict is verdict, (name, key)


def test_other_type(tmp_path: Path) -> None:
    known = keys(tmp_path, line("gpu1", blob(1, "ssh-rsa")))
    assert known.judge(target(tmp_path), blob(1)).verdict is Verdict.OTHER_TYPE
    assert known.key_types(target(tmp_path))[0] == "ssh-rsa"
    assert known.key_types(target(tmp_path, "gpu2"))[0] == "ssh-rsa"  # what the file holds comes before the rest


def test_odd_ports(tmp_path: Path) -> None:
    known = keys(tmp_path, line("[gpu1]:2222", blob(1)) + line("gpu2", blob(2)))
    assert known.judge(target(tmp_path, port=2222), blob(1)).verdict is Verdict.TRUSTED
    assert known.judge(target(tmp_path), blob(1)).verdict is Verdict.UNKNOWN
    # As ssh: the key of the plain name is taken on an odd port, but its absence proves nothing there.
    assert known.judge(target(tmp_path, "gpu2", 2222), blob(2)).verdict is Verdict.TRUSTED
    assert known.judge(target(tmp_path, "gpu2", 2222), blob(1)).verdict is Verdict.UNKNOWN


def test_revoked_wins(tmp_path: Path) -> None:
    known = keys(tmp_path, line("gpu1", blob(1)) + line("*", blob(1), "@revoked"))
    judgement = known.judge(target(tmp_path), blob(1))
    assert judgement.verdict is Verdict.REVOKED
    error = known.refusal(target(tmp_path), blob(1), judgement)
    assert "is revoked by" in str(error)
    assert "known_hosts:2" in str(error)


def test_authorities(tmp_path: Path) -> None:
    known = keys(tmp_path, line("*.lan", blob(1), "@cert-authority") + line("*", blob(2), "@revoked"))
    assert known.has_authority(target(tmp_path, "a.lan"))
    assert known.is_authority(target(tmp_path, "a.lan"), blob(1))
    assert not known.is_authority(target(tmp_path, "a.lan"), blob(2))
    assert not known.has_authority(target(tmp_path, "a.wan"))
    # An authority's key is not a host's key.
    assert known.judge(target(tmp_path, "a.lan"), blob(1)).verdict is Verdict.UNKNOWN


def test_a_changed_key_says_where_and_what_to_run(tmp_path: Path) -> None:
    known = keys(tmp_path, "# first\n" + line("[gpu1]:2222", blob(1)))
    place = target(tmp_path, port=2222)
    error = known.refusal(place, blob(2), known.judge(place, blob(2)))
    assert f"{tmp_path}/known_hosts:2" in str(error)
    assert fingerprint(key_text(blob(1))) in str(error)
    assert fingerprint(key_text(blob(2))) in str(error)
    assert f"ssh-keygen -R '[gpu1]:2222' -f {tmp_path}/known_hosts" in error.hint


def test_unknown_says_how_to_accept(tmp_path: Path) -> None:
    known = keys(tmp_path, "")
    error = known.refusal(target(tmp_path), blob(2), known.judge(target(tmp_path), blob(2)))
    assert "unknown host key" in str(error)
    assert "ssh-keyscan -p 22 gpu1" in error.hint
    assert "accept-new" in error.hint


def test_accepted_keys_are_kept_and_then_defended(tmp_path: Path) -> None:
    known = keys(tmp_path, "", Policy.ACCEPT_NEW, "ours/host_keys")
    known.accept(target(tmp_path), blob(1))
    known.accept(target(tmp_path, "gpu2", 2222), blob(2))
    assert (tmp_path / "ours/host_keys").stat().st_mode & 0o777 == 0o600
    again = HostKeys(Policy.ACCEPT_NEW, tmp_path / "ours/host_keys")
    for one in (known, again):
        assert one.judge(target(tmp_path), blob(1)).verdict is Verdict.TRUSTED
        assert one.judge(target(tmp_path), blob(2)).verdict is Verdict.CHANGED
        assert one.judge(target(tmp_path, "gpu2", 2222), blob(2)).verdict is Verdict.TRUSTED


def test_two_consoles_cannot_accept_two_keys(tmp_path: Path) -> None:
    first = keys(tmp_path, "", Policy.ACCEPT_NEW, "ours")
    second = HostKeys(Policy.ACCEPT_NEW, tmp_path / "ours")
    assert second.judge(target(tmp_path), blob(2)).verdict is Verdict.UNKNOWN
    first.accept(target(tmp_path), blob(1))
    with pytest.raises(HostKeyError, match="HAS CHANGED"):
        second.accept(target(tmp_path), blob(2))
    second.accept(target(tmp_path), blob(1))
    assert (tmp_path / "ours").read_text().count("\n") == 1


def test_a_line_torn_by_a_crash_harms_no_other(tmp_path: Path) -> None:
    known = keys(tmp_path, "", Policy.ACCEPT_NEW, "ours")
    (tmp_path / "ours").write_text("gpu0 ssh-ed25519 AAAA")
    known.accept(target(tmp_path), blob(1))
    assert (tmp_path / "ours").read_text() == "gpu0 ssh-ed25519 AAAA\n" + line("gpu1", blob(1))
    assert known.judge(target(tmp_path), blob(1)).verdict is Verdict.TRUSTED


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = keys(tmp_path, "", Policy.ACCEPT_NEW, "file/host_keys")
    with pytest.raises(HostKeyError, match="cannot be written") as caught:
        known.accept(target(tmp_path), blob(1))
    assert "ssh.host_keys" in caught.value.hint


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    file = KnownHostsFile(path)
    file.refresh()
    assert not list(file.plain("a"))
    path.write_text(line("a", blob(1)))
    file.refresh()
    assert len(list(file.plain("a"))) == 1
    with path.open("a") as appended:
        appended.write(line("b", blob(2)) + "half a li")
    file.refresh()
    assert [e.line for e in file.plain("b")] == [2]
    assert file.broken == 0
    path.write_text(line("b", blob(3)))
    file.refresh()
    assert not list(file.plain("a"))
    path.unlink()
    file.refresh()
    assert not list(file.plain("b"))


def test_appending_is_read_from_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("".join(line(f"gpu{n}", blob(n % 200)) for n in range(500)))
    file = KnownHostsFile(path)
    file.refresh()
    read: list[str] = []
    add = file._add_line
    file._add_line = lambda text, number: (read.append(text), add(text, number))[1]  # type: ignore[method-assign, func-returns-value]
    with path.open("a") as appended:
        appended.write(line("new", blob(7)))
    file.refresh()
    assert len(read) == 1
    assert [e.line for e in file.plain("new")] == [501]


def test_a_known_key_among_thousands_of_hashed_ones_costs_one_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(line(hashed(f"gpu{n}"), blob(n % 250) + n.to_bytes(4, "big")) for n in range(3000))
    known = keys(tmp_path, text)
    known.has_authority(target(tmp_path))  # read it
    hashes: list[str] = []
    from fleetctl.transport import known_hosts

    matches = known_hosts._hash_matches
    monkeypatch.setattr(
        known_hosts, "_hash_matches", lambda names, name: (hashes.append(name), matches(names, name))[1]
    )
    key = blob(77) + (2577).to_bytes(4, "big")
    assert known.judge(target(tmp_path, "gpu2577"), key).verdict is Verdict.TRUSTED
    assert len(hashes) == 1
    assert known.judge(target(tmp_path, "gpu2577"), blob(1)).verdict is Verdict.CHANGED
    assert len(hashes) == 3001
    assert known.judge(target(tmp_path, "gpu2577"), blob(2)).verdict is Verdict.CHANGED  # remembered
    assert len(hashes) == 3001


@given(st.text(max_size=300))
def test_garbage_is_passed_over(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("known") / "known_hosts"
    path.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n" + line("gpu1", blob(1)).encode())
    known = HostKeys(Policy.STRICT, path)
    assert known.judge(Target("gpu1", "gpu1"), blob(1)).verdict in (Verdict.TRUSTED, Verdict.REVOKED)
    assert known.judge(Target("gpu1", "gpu1"), blob(2)).verdict is not Verdict.TRUSTED


@pytest.mark.peers
def test_agrees_with_ssh_keygen(tmp_path: Path) -> None:
    """OpenSSH hashes our file, and finds and removes what we wrote."""
    known = keys(tmp_path, "", Policy.ACCEPT_NEW, "ours")
    places = [target(tmp_path, f"gpu{n}", 22 if n % 2 else 2222) for n in range(10)]
    for number, place in enumerate(places):
        known.accept(place, blob(number))
    subprocess.run(["ssh-keygen", "-H", "-f", tmp_path / "ours"], check=True, capture_output=True)
    assert (tmp_path / "ours").read_text().count("|1|") == 10
    for number, place in enumerate(places):
        assert known.judge(place, blob(number)).verdict is Verdict.TRUSTED
        assert known.judge(place, blob(99)).verdict is Verdict.CHANGED
    error = known.refusal(places[0], blob(99), known.judge(places[0], blob(99)))
    command = error.hint.split("if the machine was reinstalled: ")[1].split("; if not")[0]
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert known.judge(places[0], blob(99)).verdict is Verdict.UNKNOWN
    assert known.judge(places[1], blob(1)).verdict is Verdict.TRUSTED

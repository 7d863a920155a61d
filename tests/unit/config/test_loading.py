"""Every mistake in fleet.toml is named with its line, its path and what to write instead."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.config import load_config, parse_config
from fleetctl.errors import ConfigError, FleetctlError

GOOD = """
name = "pool"
[[sites]]
name = "lingang"
[[hosts]]
nodes = "gpu[001-004]"
site = "lingang"
[poll]
interval_s = 5
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), "fleet.toml")
    return str(caught.value)


def test_good_file_is_read_with_defaults() -> None:
    config = parse_config(GOOD.encode())
    assert config.name == "pool"
    assert config.poll.interval_s == 5.0
    assert isinstance(config.poll.interval_s, float)
    assert config.hosts[0].nodes == "gpu[001-004]"
    assert config.ssh.host_key_policy == "strict"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "intervall = 3\n", "fleet.toml:10: poll.intervall: unknown key"),
        ("[[sites]]\nname='a'\nteir='hub'\n", "fleet.toml:3: sites[0].teir: unknown key; did you mean 'tier'?"),
        ("[sssh]\n", "fleet.toml:1: sssh: unknown key; did you mean 'ssh'?"),
        ("[poll]\ninterval_s = '5'\n", "fleet.toml:2: poll.interval_s: should be a number, not the text '5'"),
        ("[poll]\ninterval_s = true\n", "should be a number, not true or false"),
        ("[poll]\ninterval_s = 0.1\n", "fleet.toml:2: poll.interval_s: 0.1 s is below the least allowed, 1 s"),
        ("[poll]\ninterval_s = nan\n", "not a usable number"),
        ("[[hosts]]\nnodes='a'\nsite='b'\ntransport='shs'\n", "did you mean 'ssh'?"),
        ("[[hosts]]\nsite='b'\n", "fleet.toml:1: hosts[0]: nodes is missing"),
        ("sites = 3\n", "fleet.toml:1: sites: should be a list, not the number 3"),
        ("a = \n", "fleet.toml:1: not valid TOML"),
        ("name = 'a'\nname = 'b'\n", "not valid TOML"),
    ],
)
def test_mistakes_are_placed(text: str, expected: str) -> None:
    assert expected in refusal(text)


def test_all_mistakes_are_named_at_once() -> None:
    text = refusal("[poll]\nfoo = 1\nbar = 2\n[ssh]\nbaz = 3\n")
    assert all(word in text for word in ("poll.foo", "poll.bar", "ssh.baz"))


def test_not_utf8_names_the_line() -> None:
    with pytest.raises(ConfigError, match=r"fleet.toml:2: not UTF-8"):
        parse_config(b"name = 'x'\n# \xff\n")


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.toml")
    assert "fleetctl init" in caught.value.hint


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("[store]\npath = 'data/fleet.db'\n")
    config = load_config(tmp_path / "fleet.toml")
    assert config.store.path == str(tmp_path / "data/fleet.db")
    assert config.ssh.host_keys == str(tmp_path / "data/host_keys")


@given(st.binary(max_size=400))
def test_any_bytes_load_or_are_refused(raw: bytes) -> None:
    try:
        parse_config(raw)
    except FleetctlError:
        pass


@given(st.text(alphabet=st.sampled_from("[]='\"\n .abcnamehostspoll0123#"), max_size=200))
def test_any_toml_like_text_loads_or_is_refused(text: str) -> None:
    try:
        parse_config(text.encode())
    except FleetctlError:
        pass

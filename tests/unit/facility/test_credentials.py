"""Credentials from files and commands, in the forms that people have; never from the address."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import AuthError, FleetctlError, UsageError
from fleetctl.facility.credentials import load_credentials, parse_credentials, run_credentials
from fleetctl.facility.endpoint import Credentials, parse_url


def test_netrc_chooses_the_host() -> None:
    text = "machine bmc1 login root password one\nmachine bmc2 login admin password two\ndefault login x password y"
    assert parse_credentials(text, "bmc2") == Credentials(user="admin", password="two")
    assert parse_credentials(text, "bmc9") == Credentials(user="x", password="y")


def test_netrc_without_the_host_names_it() -> None:
    with pytest.raises(AuthError, match="bmc9"):
        parse_credentials("machine bmc1 login root password one", "bmc9")


def test_toml_json_and_one_line() -> None:
    assert parse_credentials('user = "fleet"\npassword = "p w"') == Credentials(user="fleet", password="p w")
    assert parse_credentials("user=fleet\npassword=plain") == Credentials(user="fleet", password="plain")
    assert parse_credentials('{"username": "fleet", "password": "p"}') == Credentials(user="fleet", password="p")
    assert parse_credentials("fleet:p:w") == Credentials(user="fleet", password="p:w")


def test_a_table_per_host_wins() -> None:
    text = 'user = "a"\npassword = "b"\n["10.0.0.7"]\npassword = "c"\n'
    assert parse_credentials(text, "10.0.0.7").password == "c"
    assert parse_credentials(text, "10.0.0.8").password == "b"


def test_snmp_v3_keys() -> None:
    text = '{"user": "u", "auth": "SHA", "auth_key": "k1", "priv": "AES", "priv_key": "k2", "context": "c"}'
    assert parse_credentials(text) == Credentials(
        user="u", auth_protocol="SHA", auth_key="k1", priv_protocol="AES", priv_key="k2", context="c"
    )


def test_a_file_that_others_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "creds"
    file.write_text("user = 'a'\npassword = 'b'\n")
    file.chmod(0o644)
    with pytest.raises(AuthError, match="read by others"):
        load_credentials(file)
    file.chmod(0o600)
    assert load_credentials(file).user == "a"


def test_a_command_gives_them() -> None:
    command = f"{sys.executable} -c \"import sys; print('user = \\'u\\''); print('password = \\'' + sys.argv[1] + '\\'')\" {{host}}"
    assert run_credentials(command, "bmc1") == Credentials(user="u", password="bmc1")
    with pytest.raises(AuthError, match="status 3"):
        run_credentials(f'{sys.executable} -c "raise SystemExit(3)"')


def test_secrets_do_not_show() -> None:
    shown = repr(parse_url("https://h", credentials=Credentials(user="u", password="geheim", community="auch")))
    assert "geheim" not in shown
    assert "auch" not in shown


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(UsageError, match="password"):
        parse_url("https://fleet:secret@bmc1")


@pytest.mark.parametrize("url", ["", "bmc1", "ftp://x", "https://", "https://h:99999", "snmp://[::1", "modbus://"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError):
        parse_url(url)


def test_addresses() -> None:
    found = parse_url("modbus://10.0.0.9:15020/12?map=x")
    assert (found.host, found.port, found.path, found.map_path) == ("10.0.0.9", 15020, "/12", "x")
    assert parse_url("https://[fd00::7]").url == "https://[fd00::7]:443"
    assert parse_url("snmp://private@pdu").credentials.community == "private"
    assert parse_url("ipmi://bmc").port == 623


@given(st.text(max_size=300))
def test_hostile_files_are_a_clear_error(text: str) -> None:
    with contextlib.suppress(FleetctlError):
        assert isinstance(parse_credentials(text, "h"), Credentials)

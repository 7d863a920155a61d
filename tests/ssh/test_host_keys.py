"""Who the host is: known, new, changed, revoked, signed; against a server in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleetctl.errors import AuthError, HostKeyError
from fleetctl.model.report import ErrorKind


async def test_strict_refuses_a_stranger(server: Any, make_transport: Callable[..., Any]) -> None:
    server.trust("")
    with pytest.raises(HostKeyError, match="unknown host key ssh-ed25519 SHA256:") as caught:
        await make_transport(server.settings()).connect(server.host())
    assert caught.value.kind == ErrorKind.HOST_KEY
    assert server.commands == []


async def test_new_keys_are_accepted_once_and_a_change_is_always_refused(
    make_server: Callable[..., Any], make_transport: Callable[..., Any], tmp_path: Path
) -> None:
    server = await make_server()
    server.trust("")
    settings = server.settings(host_key_policy="accept-new")
    transport = make_transport(settings, host_keys_path=tmp_path / "ours")
    for _ in range(2):
        await (await transport.connect(server.host())).close()
    assert (tmp_path / "ours").read_text().split() == server.line().split()[:3]
    other = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "ours").write_text(f"# ours\n{server.line(other)}")
    for policy in ("accept-new", "strict"):
        again = make_transport(server.settings(host_key_policy=policy), host_keys_path=tmp_path / "ours")
        for _ in range(2):
            with pytest.raises(HostKeyError, match="THE HOST KEY HAS CHANGED") as caught:
                await again.connect(server.host())
            assert f"{tmp_path}/ours:2" in str(caught.value)
            assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in caught.value.hint


async def test_a_host_known_by_another_type_is_asked_for_it(
    make_server: Callable[..., Any], make_transport: Callable[..., Any]
) -> None:
    ecdsa = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    ed = asyncssh.generate_private_key("ssh-ed25519")
    server = await make_server(server_host_keys=[ed, ecdsa])
    # Hashed, so that the type cannot be known beforehand, and a plain line of another host makes ed25519 look likely.
    import base64
    import hashlib
    import hmac

    name, salt = f"[127.0.0.1]:{server.port}", b"s" * 20
    digest = hmac.digest(salt, name.encode(), hashlib.sha1)
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    server.trust(server.line(stranger, names="other") + server.line(ecdsa, names=hashed))
    session = await make_transport(server.settings()).connect(server.host())
    assert (await session.run("echo ok")).stdout == "ok\n"
    await session.close()


async def test_a_host_that_lost_its_type_has_changed(
    make_server: Callable[..., Any], make_transport: Callable[..., Any]
) -> None:
    server = await make_server()
    ecdsa = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    server.trust(server.line(ecdsa))
    for policy in ("strict", "accept-new"):
        with pytest.raises(HostKeyError, match="HAS CHANGED"):
            await make_transport(server.settings(host_key_policy=policy)).connect(server.host())


async def test_revoked(server: Any, make_transport: Callable[..., Any]) -> None:
    server.trust(server.line() + server.line(names="*", marker="@revoked"))
    with pytest.raises(HostKeyError, match="is revoked by"):
        await make_transport(server.settings()).connect(server.host())


async def test_a_host_certificate(make_server: Callable[..., Any], make_transport: Callable[..., Any]) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_host_certificate(host_key, "host", principals=["127.0.0.1"])
    server = await make_server(server_host_keys=[(host_key, certificate)])
    server.trust(server.line(authority, names=f"[127.0.0.1]:{server.port}", marker="@cert-authority"))
    session = await make_transport(server.settings()).connect(server.host())
    await session.close()
    impostor = asyncssh.generate_private_key("ssh-ed25519")
    server.trust(server.line(impostor, names=f"[127.0.0.1]:{server.port}", marker="@cert-authority"))
    with pytest.raises(HostKeyError):
        await make_transport(server.settings()).connect(server.host())


async def test_no_way_around_by_user_config(server: Any, make_transport: Callable[..., Any], tmp_path: Path) -> None:
    """StrictHostKeyChecking no in ssh_config does not weaken our policy."""
    server.trust(server.line(asyncssh.generate_private_key("ssh-ed25519")))
    (tmp_path / "config").write_text("StrictHostKeyChecking no\n")
    with pytest.raises(AuthError, match="HAS CHANGED"):
        await make_transport(server.settings(config=str(tmp_path / "config"))).connect(server.host())

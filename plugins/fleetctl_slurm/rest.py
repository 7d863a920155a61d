"""slurmrestd as it answers: address, token, the version of its schema, and what its errors mean.

An answer counts only when the status is 200 and `errors` is empty: a bad token is HTTP 500 or 511 with an empty list of
nodes, and an empty list is not an empty fleet.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import shlex
import socket
import ssl
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fleetctl.config.schema import Scheduler
from fleetctl.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    FleetctlError,
    NotFoundError,
    ParseError,
    TimedOutError,
    UnreachableError,
)
from fleetctl_slurm.json_stream import MAX_REST, Elements, One

OLDEST, NEWEST = 42, 45  # v0.0.42 of Slurm 24.11 to v0.0.45 of 26.05: those the answers were compared on
MAX_BYTES = 1024 * 1024 * 1024  # a job is 8 kB here; of a list only what is asked for is kept
_PATH = re.compile(r"/slurm/v0\.0\.(\d{1,3})/(.+)")
_CHUNK = 1 << 18
T = TypeVar("T")
_REFUSED = ("authentication", "invalid user id", "permission", "access denied")
_GONE = ("unable to contact", "timed out", "connection")


class Rest:
    """One slurmrestd. Each call has the time limit of `timeout_s`."""

    def __init__(self, settings: Scheduler) -> None:
        self._settings = settings
        self._version = ""
        self._offers: frozenset[tuple[str, str]] = frozenset()
        self._token: str | None = None
        self.release = ""  # of Slurm, as the last answer said
        self._socket = settings.rest.removeprefix("unix:") if settings.rest.startswith("unix:") else ""
        self._base = "http://slurmrestd" if self._socket else settings.rest.rstrip("/")
        if not self._socket and not self._base.startswith(("http://", "https://")):
            raise ConfigError(
                f"{settings.endpoint}: rest = {settings.rest!r} is no address",
                hint='write "http://host:6820", "https://..." or "unix:/run/slurmrestd/slurmrestd.sock"',
            )

    async def offers(self, method: str, path: str) -> bool:
        """Does the version that is spoken have this? path with its names in braces, as in /openapi/v3."""
        await self._agree()
        return (method.lower(), path) in self._offers

    async def get(self, path: str, timeout_s: float | None = None) -> dict[str, Any]:
        """`ping/` -> the whole answer. Raises FleetctlError."""
        return await self.call("GET", path, timeout_s=timeout_s)

    async def each(self, path: str, key: str, fields: tuple[str, ...], keep: Callable[[One], T | None]) -> list[T]:
        """What `keep` makes of each element of list `key`, given those fields of it; the answer is never there in whole."""
        tries: list[Elements[T]] = []

        def begin() -> Elements[T]:
            tries.append(Elements(key, fields, keep))
            return tries[-1]

        await self.call("GET", path, begin=begin)
        return tries[-1].kept

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        begin: Callable[[], Elements[Any]] | None = None,
    ) -> dict[str, Any]:
        """One request in the agreed version; a token that was refused is read anew once."""
        await self._agree()
        try:
            return await self._send(method, f"/slurm/{self._version}/{path}", body, timeout_s, begin)
        except AuthError:
            if self._token is None or method != "GET":
                raise
            self._token = None  # it may have expired
            return await self._send(method, f"/slurm/{self._version}/{path}", body, timeout_s, begin)

    async def _agree(self) -> None:
        """The newest version both know, by GET /openapi/v3."""
        if self._version:
            return
        found = await self._send("GET", "/openapi/v3", None)
        by_number: dict[int, set[tuple[str, str]]] = {}
        paths = found.get("paths")
        for path, verbs in (paths if isinstance(paths, dict) else {}).items():
            match = _PATH.fullmatch(path)
            if match and isinstance(verbs, dict):
                by_number.setdefault(int(match[1]), set()).update((verb, match[2]) for verb in verbs)
        known = [n for n in by_number if OLDEST <= n <= NEWEST]
        if not known:
            there = ", ".join(f"v0.0.{n}" for n in sorted(by_number)) or "none"
            raise ConflictError(
                f"{self._settings.endpoint}: its REST daemon speaks {there}, v0.0.{OLDEST} to v0.0.{NEWEST} are known",
                hint="take `rest` out of its [[schedulers]] table: the commands work with every release",
            )
        self._offers = frozenset(by_number[max(known)])
        self._version = f"v0.0.{max(known)}"

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        timeout_s: float | None = None,
        begin: Callable[[], Elements[Any]] | None = None,
    ) -> dict[str, Any]:
        what, limit = f"{self._settings.endpoint}: {method} {path.split('?')[0]}", timeout_s or self._settings.timeout_s
        token = await self._read_token()
        try:
            elements = begin() if begin is not None else None
            status, text = await asyncio.to_thread(self._exchange, method, path, body, token, limit, elements)
        except TimeoutError:
            raise TimedOutError(
                f"{what} was not answered within {limit:g} s", hint="slurmctld or slurmrestd hangs"
            ) from None
        except (http.client.HTTPException, OSError) as error:
            raise UnreachableError(
                f"{what} at {self._settings.rest}: {str(error)[:200] or type(error).__name__}",
                hint="does slurmrestd run there? see `rest`",
            ) from None
        return self._check(what, status, text)

    def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        token: str,
        limit_s: float,
        elements: Elements[Any] | None,
    ) -> tuple[int, bytes]:
        """(status, body without what went into elements). The standard library's client: slurmrestd 26.05 sends more than it announces on an error, and
        stricter ones take the whole answer for garbage. Raises OSError, HTTPException, ParseError."""
        ends = time.monotonic() + limit_s
        connection = self._connection(limit_s)
        try:
            headers = {"X-SLURM-USER-TOKEN": token} if token else {}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            elements = elements if elements is not None and answer.status == 200 else None
            parts, size = [], 0
            while part := answer.read(_CHUNK):
                size += len(part)
                if size > (MAX_BYTES if elements is not None else MAX_REST):
                    raise ValueError(f"more than {size >> 20} MiB")
                if elements is not None:
                    elements.feed(part)
                else:
                    parts.append(part)
                if time.monotonic() > ends:
                    raise TimeoutError
            return answer.status, elements.rest if elements is not None else b"".join(parts)
        except ValueError as error:
            raise ParseError(
                f"{self._settings.endpoint}: {method} {path.split('?')[0]}: {error}",
                hint="is that slurmrestd? or take `rest` out: the commands print less",
            ) from None
        finally:
            connection.close()

    def _connection(self, limit_s: float) -> http.client.HTTPConnection:
        if self._socket:
            return _UnixConnection(self._socket, limit_s)
        url = urlsplit(self._base)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=self._settings.tls_ca or None)
            return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=limit_s, context=context)
        return http.client.HTTPConnection(url.hostname or "", url.port, timeout=limit_s)

    def _check(self, what: str, status: int, text: bytes) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            said = text[:120].decode("utf-8", "replace").strip()
            raise (
                _meaning(what, status, said if said.isprintable() else "")
                if status != 200
                else ParseError(f"{what}: half an answer, or none of slurmrestd", hint="asked again at the next round")
            )
        errors = found.get("errors")
        said = _words(errors) if errors else ""
        if status != 200 or said:
            raise _meaning(what, status, said)
        meta = found.get("meta")
        release = meta.get("slurm", {}).get("release") if isinstance(meta, dict) else None
        self.release = release if isinstance(release, str) else self.release
        return found

    async def _read_token(self) -> str:
        """ "" where none is configured: a unix socket may know us by itself."""
        settings = self._settings
        if self._token is None:
            if settings.token_command:
                self._token = await _from_command(settings.token_command, settings.endpoint, settings.timeout_s)
            elif settings.token_file:
                self._token = _from_file(settings.token_file)
            else:
                self._token = ""
        return self._token


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str, limit_s: float) -> None:
        super().__init__("slurmrestd", timeout=limit_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _words(errors: object) -> str:
    """`Failure to query nodes: Protocol authentication error` of the first error that says anything."""
    for one in errors if isinstance(errors, list) else [errors]:
        if isinstance(one, dict):
            parts = [one.get("description"), one.get("error")]
            text = ": ".join(p for p in parts if isinstance(p, str) and p and p != "No error")
            if text:
                return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
    return "an error without words" if errors else ""


def _meaning(what: str, status: int, said: str) -> FleetctlError:
    low, text = said.lower(), f"{what}: HTTP {status}" + (f", {said}" if said else "")
    if status == 401 or any(word in low for word in _REFUSED):
        return AuthError(text, hint="look at token_file or token_command, and at the rights of its user")
    if any(word in low for word in _GONE):
        return UnreachableError(text, hint="what it said last stays, with its age; look at slurmctld there")
    if status == 404 or "failure to query node" in low or "invalid job id" in low or "invalid node name" in low:
        return NotFoundError(text)
    return ConflictError(text)


def _from_file(name: str) -> str:
    path = Path(name).expanduser()
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise AuthError(f"{path} can be read by others", hint=f"chmod 600 {path}")
        return _plain_token(path.read_text(encoding="utf-8")[:65536], str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise AuthError(f"cannot read the token in {path}: {error}", hint="see token_file") from None


async def _from_command(command: str, endpoint: str, timeout_s: float) -> str:
    words = shlex.split(command)
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise AuthError(f"{endpoint}: {words[0]} gave no token: {error}", hint="see token_command") from None
    try:
        out, _err = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AuthError(f"{endpoint}: {words[0]} gave no token in {timeout_s:g} s", hint="run it by hand") from None
    if process.returncode:
        raise AuthError(f"{endpoint}: {words[0]} ended with status {process.returncode}", hint="run it by hand")
    return _plain_token(out[:65536].decode("utf-8", "replace"), words[0])


def _plain_token(text: str, where: str) -> str:
    """`SLURM_JWT=eyJ...`, as `scontrol token` prints it, or the bare token."""
    token = text.strip().removeprefix("SLURM_JWT=").strip()
    if not re.fullmatch(r"[A-Za-z0-9_.=-]{8,}", token):
        raise AuthError(f"{where} holds no token", hint="one line: eyJ... or SLURM_JWT=eyJ...")
    return token

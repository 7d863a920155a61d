"""One Redfish service over HTTPS: login session, certificate trust, two sockets, bounded bodies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cache
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import aiohttp

from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Endpoint

MAX_BODY_BYTES = 4 * 1024 * 1024  # the largest real body seen is 0.5 MB (an expanded DGX collection)
LARGE_BODY_BYTES = 1024 * 1024  # no real one ever waits
LARGE_AT_ONCE = 4  # of all services together: what a thousand sick BMCs may hold of our memory
_RETRY_STATUS = (503, 429)
NO_CREDENTIALS = "put them in a file of mode 0600 (netrc, TOML or JSON) and name it with --credentials FILE"
# asyncio sets a buffer of this size aside for each TLS connection. Its own choice, 256 KiB, is half a gigabyte at 2,000
# BMCs whose answers have 4 to 40 KiB; longer ones come in several reads.
SSLProtocol.max_size = 16 * 1024
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _large_bodies(loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return _turns.setdefault(loop, asyncio.Semaphore(LARGE_AT_ONCE))


@cache
def _context(ca: str | None) -> ssl.SSLContext:
    """One for all BMCs of a CA: each holds every certificate it trusts, half a megabyte."""
    return ssl.create_default_context(cafile=ca)


def _strict_decoder() -> Callable[[bytes], Any] | None:
    """msgspec's, where the extra `fast` is installed: half the time of json's. It raises ValueErrors."""
    try:
        import msgspec
    except ModuleNotFoundError:
        return None
    return msgspec.json.Decoder().decode


_decode_strictly = _strict_decoder()


def decode(data: bytes) -> Any:
    """A body as plain Python. Raises ValueError, RecursionError.

    What is not JSON to the letter (NaN, numbers beyond a double, UTF-16) is json's to judge: firmware writes it.
    """
    if _decode_strictly is not None:
        with contextlib.suppress(ValueError):
            return _decode_strictly(data)
    return json.loads(data)


class MissingError(FleetctlError):
    """404 and its kin: a link that leads nowhere. Ordinary on BMCs."""


class BusyError(FleetctlError):
    """The BMC says that it cannot now: 503, 429, no free session."""


class RedfishSession:
    """GET, PATCH and POST on one service; logs in at first use, logs out in `close`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        scheme = "http" if endpoint.scheme.endswith("http") else "https"
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        self.base = f"{scheme}://{host}:{endpoint.port}"
        self.gets = 0
        self.received = 0  # bytes of all answers
        self._client: aiohttp.ClientSession | None = None
        self._second: aiohttp.ClientSession | None = None  # for as long as `two_sockets`
        self._busy = False  # somebody uses the first
        self._token = ""
        self._session_path = ""
        self._refused = False
        self._good = (
            ""  # a protected path that was answered: what tells a session that ended from a path we may not see
        )
        self._forbidden: set[str] = set()
        self._login_lock = asyncio.Lock()

    def _trust(self) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
        if self.endpoint.tls_pin:
            try:
                return aiohttp.Fingerprint(bytes.fromhex(self.endpoint.tls_pin))
            except ValueError:
                raise AuthError("the certificate pin is not a SHA-256 in hex", hint="64 hex digits") from None
        if self.endpoint.insecure:
            return False
        if self.base.startswith("http://"):
            return False
        try:
            return _context(str(self.endpoint.tls_ca) if self.endpoint.tls_ca else None)
        except (OSError, ssl.SSLError) as error:
            raise AuthError(
                f"cannot use {self.endpoint.tls_ca}: {error}", hint="a PEM file of CA certificates"
            ) from None

    def _socket(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=self._trust(), keepalive_timeout=75),
            timeout=aiohttp.ClientTimeout(total=self.endpoint.timeout_s),
            # Small answers are not worth packing: unpacking them costs us and, more so, the BMC
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "OData-Version": "4.0"},
            cookie_jar=aiohttp.DummyCookieJar(),  # the session is a token in a header
            trust_env=False,
        )

    @contextlib.asynccontextmanager
    async def two_sockets(self) -> AsyncIterator[None]:
        """Two questions at once while the block lasts; several BMCs drop a third socket. It is closed then: a pool would
        use both in turn for ever, which is 45 KiB over TLS and one of the few sessions of the BMC's web server."""
        self._second = self._socket()
        try:
            yield
        finally:
            second, self._second = self._second, None
            await second.close()

    @contextlib.contextmanager
    def _free_socket(self) -> Iterator[aiohttp.ClientSession]:
        if self._second is not None and self._busy:
            yield self._second
            return
        if self._client is None:
            self._client = self._socket()
        self._busy = True
        try:
            yield self._client
        finally:
            self._busy = False

    async def _login(self) -> None:
        """A session, or Basic where the service offers none. A refused password is not tried again."""
        user = self.endpoint.credentials.user
        if not user or self._token or self._session_path == "basic":
            return
        body = {"UserName": user, "Password": self.endpoint.credentials.password}
        status, headers, _ = await self._send("POST", "/redfish/v1/SessionService/Sessions", body, {})
        if status in (400, 401, 403):
            self._refused = True
            raise self._denied()
        if status in (200, 201, 202, 204) and headers.get("X-Auth-Token"):
            self._token = headers["X-Auth-Token"]
            location = headers.get("Location", "")
            self._session_path = location[location.find("/redfish/") :] if "/redfish/" in location else ""
        else:  # 404, 405, 503 "too many sessions": Basic needs no session
            self._session_path = "basic"

    def _denied(self) -> AuthError:
        user = self.endpoint.credentials.user
        if not user:
            return AuthError(f"{self.base} wants a user name and a password", hint=NO_CREDENTIALS)
        return AuthError(
            f"{self.base} refuses {user}", hint="check the password; it is not tried again, so that nothing is locked"
        )

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, etag: str = "") -> Any:
        """The decoded answer, None when it is empty. Raises errors of fleetctl.errors, MissingError, BusyError.

        etag: the state that is to be changed, where the resource names one.
        """
        if self._refused:
            raise self._denied()
        if path in self._forbidden:
            raise MissingError(f"{path} is not for this user", hint="401")
        if self.endpoint.credentials.user and not self._token:
            async with self._login_lock:
                await self._login()
        token = self._token
        state = {"If-Match": etag} if etag and etag.isprintable() else {}
        status, _, data = await self._send(method, path, body, self._authority() | state)
        if status == 401:
            status, data = await self._again(method, path, body, token)
        if status == 403:
            raise MissingError(f"{path} is not for this user", hint="403")
        if status < 300 and method == "GET" and path.rstrip("/") != "/redfish/v1":
            self._good = path
        if status in _RETRY_STATUS:
            raise BusyError(f"{path}: busy (status {status})", hint="it is asked again later")
        if status in (400, 404, 405, 410, 501):
            raise MissingError(f"{path}: status {status}", hint="the link leads nowhere")
        if status >= 300:
            raise ParseError(f"{path}: status {status}", hint="look into the BMC's own log")
        if not data.strip():
            return None
        try:
            return decode(data)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"{path} is not JSON: {str(error)[:120]}", hint="a defect of the firmware") from None

    def _authority(self) -> dict[str, str]:
        if self._token:
            return {"X-Auth-Token": self._token}
        if self._session_path != "basic":
            return {}
        creds = self.endpoint.credentials
        pair = base64.b64encode(f"{creds.user}:{creds.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    async def _again(self, method: str, path: str, body: Mapping[str, Any] | None, token: str) -> tuple[int, bytes]:
        """After a 401: one new login where the session has ended; a path that alone is refused costs only itself.

        (status, body) of the second answer. Raises MissingError, or AuthError where nothing at all is answered.
        """
        if self._good and (not token or token == self._token):
            status, _, _ = await self._send("GET", self._good, None, self._authority())
            if status == 401 and not token:
                self._refused = True  # Basic, and the password no longer opens what it opened
                raise self._denied()
            if status < 300:
                self._forbidden.add(path)
                raise MissingError(f"{path} is not for this user", hint="401")
        if token:
            if token == self._token:
                self._token = ""
            async with self._login_lock:
                await self._login()
            status, _, data = await self._send(method, path, body, self._authority())
            if status != 401:
                return status, data
            if self._good:
                self._forbidden.add(path)
                raise MissingError(f"{path} is not for this user", hint="401")
        self._refused = True
        raise self._denied()

    async def get(self, path: str) -> dict[str, Any]:
        """One resource. Raises ParseError when it is not an object."""
        self.gets += 1
        answer = await self.request("GET", path)
        if not isinstance(answer, dict):
            raise ParseError(f"{path} is not an object", hint="a defect of the firmware")
        return answer

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """(status, headers, body); a GET that is sent elsewhere in the service goes there, once."""
        status, said, data = await self._exchange(method, path, body, headers)
        target = said.get("Location", "") if method == "GET" and status in (301, 302, 307, 308) else ""
        if target.startswith("/") and target != path:
            return await self._exchange(method, target, body, headers)
        return status, said, data

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        if not path.startswith("/"):  # `https://bmc` + `@elsewhere/` would take the password elsewhere
            raise MissingError(f"{path[:80]!r} is no path of {self.base}", hint="a defect of the firmware, or worse")
        try:
            with self._free_socket() as http:
                async with http.request(
                    method, self.base + path, json=body, headers=headers, allow_redirects=False
                ) as response:
                    if (response.content_length or 0) > MAX_BODY_BYTES:
                        raise ParseError(f"{path}: {response.content_length} bytes are too many", hint="not read")
                    return response.status, response.headers, await self._body(path, response)
        except (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError) as error:
            await self._untrusted(error)
        except aiohttp.ClientSSLError as error:
            raise UnreachableError(
                f"{self.base}: no TLS: {str(error)[:160]}", hint="is it HTTPS on that port?"
            ) from None
        except TimeoutError:
            raise TimedOutError(
                f"{self.base}{path}: no answer in {self.endpoint.timeout_s:g} s",
                hint="is it Redfish on that port, and is the limit (--timeout, timeout_s) long enough?",
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise UnreachableError(
                f"{self.base}: {str(error.os_error)[:160] or 'no connection'}",
                hint="is the address right, and does a BMC listen on that port?",
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            plain = self.base.startswith("http://")
            raise UnreachableError(
                f"{self.base}{path}: {str(error)[:160] or type(error).__name__}",
                hint="is it HTTPS on that port? https://" if plain else "it is asked again later",
            ) from None

    async def _body(self, path: str, response: aiohttp.ClientResponse) -> bytes:
        """All of an answer, unless it is too large. Few large ones are read at once, whoever sends them."""
        chunks: list[bytes] = []
        size = 0
        async with contextlib.AsyncExitStack() as turn:
            async for chunk in _whole(path, response):
                chunks.append(chunk)
                size += len(chunk)
                if size - len(chunk) <= LARGE_BODY_BYTES < size:
                    await turn.enter_async_context(_large_bodies(asyncio.get_running_loop()))
                if size > MAX_BODY_BYTES:
                    chunks.clear()  # an error keeps what its frames hold
                    raise ParseError(f"{path}: more than {MAX_BODY_BYTES} bytes are too many", hint="not read further")
        self.received += size
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _untrusted(self, error: Exception) -> NoReturn:
        if isinstance(error, aiohttp.ServerFingerprintMismatch):
            raise AuthError(
                f"{self.base} shows another certificate: {error.got.hex()}",
                hint="if it was renewed, pin the new one after looking at the device itself",
            ) from None
        shown = await self._shown_certificate()
        told = re.search(r"certificate verify failed: ([^(\]]+)", str(error))
        raise AuthError(
            f"{self.base}: its certificate is not trusted ({told[1].strip() if told else str(error)[:160]})",
            hint=(f"it shows SHA-256 {shown}; if that is what the device itself names, pin it" if shown else "pin it")
            + " (--tls-pin, tls_pin), or name the CA (--tls-ca, tls_ca)",
        ) from None

    async def _shown_certificate(self) -> str:
        """SHA-256 of the certificate that stands there, for the person who decides; nothing is sent, nothing trusted."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(self.endpoint.host, self.endpoint.port, ssl=context)
        except (OSError, TimeoutError):
            return ""
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return hashlib.sha256(found).hexdigest() if found else ""

    async def close(self) -> None:
        """Log out and close. Failure to log out is no error: the session times out at the BMC."""
        if self._client is None:
            return
        try:
            if self._token and self._session_path:
                await asyncio.wait_for(
                    self._send("DELETE", self._session_path, None, {"X-Auth-Token": self._token}), timeout=5
                )
        except (FleetctlError, TimeoutError):
            pass
        finally:
            await self._client.close()
            self._client = None
            self._token = ""


async def _whole(path: str, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The parts of an answer. Raises ParseError where it ends before its end: the BMC is there, and what came is no answer."""
    size = 0
    try:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            yield chunk
    except (aiohttp.ClientPayloadError, ConnectionResetError) as error:
        due = f" of {response.content_length}" if response.content_length else ""
        raise ParseError(
            f"{path}: the answer was cut after {size}{due} bytes",
            hint="it is asked again later; is the BMC restarting?",
        ) from error

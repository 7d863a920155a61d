"""One IPMI session, blocking, in a few threads of its own: pyghmi is not async, and a dead BMC must hold nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pyghmi.exceptions import IpmiException, PyghmiException
from pyghmi.ipmi import sdr
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.private.session import Session

from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Endpoint


class _Unshared(dict[Any, Any]):
    """pyghmi gives every BMC of one product and firmware the sensor list of the first it met; servers of one product
    differ in cards and supplies, and then values get the names of other sensors. So nothing is remembered here."""

    def __setitem__(self, key: Any, value: Any) -> None:
        return None


sdr.shared_sdrs = _Unshared()
T = TypeVar("T")
THREADS = 8
_POOL = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="ipmi")
_PRIVILEGES = {"user": 2, "operator": 3, "administrator": 4, "admin": 4}


class IpmiSession:
    """Opened at first use. A refused password is remembered and never tried again: BMCs lock users out."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._command: Any = None
        self._denied = ""
        self._lock = asyncio.Lock()

    async def run(self, work: Callable[[Any], T]) -> T:
        """`work(command)` in a thread, with the session open. Raises errors of fleetctl.errors."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            try:
                return await asyncio.wait_for(
                    loop.run_in_executor(_POOL, self._work, work), timeout=self.endpoint.timeout_s * 2
                )
            except TimeoutError:
                self._command = None
                raise TimedOutError(f"{self.endpoint.url}: no answer in time", hint="it is asked again later") from None

    def _work(self, work: Callable[[Any], T]) -> T:
        if self._denied:
            raise AuthError(self._denied, hint="check the credentials; they are not tried again")
        if self._command is None:
            self._command = self._login()
        try:
            return work(self._command)
        except FleetctlError:
            raise
        except (IpmiException, PyghmiException, OSError) as error:
            self._command = None
            if "timeout" in str(error).lower() or "no longer connected" in str(error).lower():
                raise TimedOutError(f"{self.endpoint.url}: {error}", hint="it is asked again later") from None
            raise ParseError(f"{self.endpoint.url}: {str(error)[:160]}", hint="the BMC cannot answer this") from None
        except Exception as error:  # pyghmi raises anything on odd bytes
            self._command = None
            raise ParseError(
                f"{self.endpoint.url}: {type(error).__name__}: {str(error)[:160]}", hint="odd bytes"
            ) from None

    def _forget(self) -> None:
        """pyghmi keeps a session that has ended in a table of those being set up, and hands it out again."""
        for key in list(Session.initting_sessions):
            if key[0] == self.endpoint.host and key[3] == self.endpoint.port:
                Session.initting_sessions.pop(key, None)

    def _login(self) -> Any:
        self._forget()
        creds = self.endpoint.credentials
        wanted = _PRIVILEGES.get(creds.privilege.lower(), 0)
        said = ""
        for level in (wanted,) if wanted else (4, 3, 2):
            try:
                return Command(
                    bmc=self.endpoint.host,
                    userid=creds.user,
                    password=creds.password,
                    port=self.endpoint.port,
                    privlevel=level,
                    keepalive=False,
                )
            except (IpmiException, PyghmiException, OSError) as error:
                said = str(error)
                low = said.lower()
                silent = low in ("", "none") or "timeout" in low or "timed out" in low or "unreachable" in low
                if silent or isinstance(error, OSError):
                    raise UnreachableError(f"{self.endpoint.url}: no answer", hint="is it there?") from None
                if "algorithm" in low or "cipher" in low:  # no word about the password yet: another client may agree
                    raise ParseError(f"{self.endpoint.url}: {said[:160]}", hint="apt-get install ipmitool") from None
                if "privilege" not in low:
                    break
            except Exception as error:  # odd bytes in the answers that set up a session
                text = f"{self.endpoint.url}: {type(error).__name__}: {str(error)[:120]}"
                raise ParseError(text, hint="apt-get install ipmitool") from None
        if not creds.user:
            self._denied = f"{self.endpoint.url} wants a user name and a password"
            hint = "put them in a file of mode 0600 (netrc, TOML or JSON) and name it with --credentials FILE"
            raise AuthError(self._denied, hint=hint)
        self._denied = f"{self.endpoint.url} refuses {creds.user}: {said[:160]}"
        raise AuthError(self._denied, hint="check user, password and privilege; they are not tried again")

    async def close(self) -> None:
        command, self._command = self._command, None
        if command is not None:
            loop = asyncio.get_running_loop()
            try:
                await asyncio.wait_for(loop.run_in_executor(_POOL, command.ipmi_session.logout), timeout=3)
            except (TimeoutError, IpmiException, PyghmiException, OSError):
                return  # the session ends at the BMC by itself

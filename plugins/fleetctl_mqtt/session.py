"""One session per broker, shared by every endpoint that names it, and ended with the last of them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import ssl
import time

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleetctl.errors import AuthError, FleetctlError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Endpoint
from fleetctl_mqtt.bus import Bus

log = logging.getLogger("fleetctl.facility.mqtt")

MAX_PACKET = 262_144  # told to the broker; it keeps larger messages to itself
QUEUE = 2_000
_REFUSED = {4, 5, 134, 135, 138, 140}  # CONNACK codes of MQTT 3 and 5: bad user or password, not authorised, banned
_quiet = logging.getLogger("fleetctl.facility.mqtt.library")
_quiet.setLevel(logging.CRITICAL)  # what the library would say is an error of ours
_Key = tuple[object, ...]
_sessions: dict[_Key, BrokerSession] = {}


class BrokerSession:
    """A connection and what was heard on it. `ended` holds the error that ended it."""

    def __init__(self, endpoint: Endpoint, key: _Key) -> None:
        self.users = 0
        self.buses: dict[str, Bus] = {}
        self.since = time.time()
        self.ended: FleetctlError | None = None
        self._endpoint = endpoint
        self._key = key
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._filters: set[str] = set()
        self._lock = asyncio.Lock()

    async def subscribe(self, root: str, filters: list[str]) -> Bus:
        """The bus below a root; connects the first time. Raises UnreachableError, TimedOutError, AuthError."""
        async with self._lock:
            if self.ended is not None:
                raise self.ended
            if self._client is None:
                self._client = await self._connect()
                self._task = asyncio.create_task(self._listen(self._client))
            bus = self.buses.setdefault(root, Bus(root))
            for topic in filters:
                if topic not in self._filters:
                    await self._ask_for(self._client, topic)
                    self._filters.add(topic)
            return bus

    async def _ask_for(self, client: aiomqtt.Client, topic: str) -> None:
        try:
            codes = await client.subscribe(topic, qos=0)
        except aiomqtt.MqttError as error:
            raise UnreachableError(f"{self._endpoint.url}: {error}", hint="it is asked again later") from None
        granted = [c if isinstance(c, int) else int(c.value) for c in codes]
        if any(code >= 128 for code in granted):
            raise AuthError(
                f"{self._endpoint.url}: the broker does not let us subscribe to {topic}",
                hint="narrow it with ?object=Rack or ?tag=site/row, or ask for the right to read",
            )

    async def _connect(self) -> aiomqtt.Client:
        """MQTT 5, where a limit on the size of messages can be told; 3.1.1 where the broker is older."""
        version = self._endpoint.options.get("version", "")
        tls = await self._tls()
        if version != "3":
            try:
                return await self._open(aiomqtt.ProtocolVersion.V5, tls)
            except AuthError:
                raise
            except UnreachableError as error:
                if version == "5" or isinstance(error, TimedOutError):
                    raise
        return await self._open(aiomqtt.ProtocolVersion.V311, tls)

    async def _open(self, version: aiomqtt.ProtocolVersion, tls: ssl.SSLContext | None) -> aiomqtt.Client:
        url, credentials = self._endpoint.url, self._endpoint.credentials
        properties = None
        if version is aiomqtt.ProtocolVersion.V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MAX_PACKET
        client = aiomqtt.Client(
            self._endpoint.host,
            self._endpoint.port,
            username=credentials.user or None,
            password=credentials.password or None,
            protocol=version,
            properties=properties,
            tls_context=tls,
            timeout=min(self._endpoint.timeout_s, 30.0),
            keepalive=30,
            max_queued_incoming_messages=QUEUE,
            logger=_quiet,
        )
        try:
            await client.__aenter__()
        except aiomqtt.MqttCodeError as error:
            code = error.rc if isinstance(error.rc, int) or error.rc is None else int(error.rc.value)
            if code in _REFUSED:
                raise AuthError(
                    f"{url}: the broker refuses us ({error})", hint="user and password: --credentials FILE"
                ) from None
            raise UnreachableError(f"{url}: {error}", hint="is it an MQTT broker?") from None
        except aiomqtt.MqttError as error:
            if "certificate verify failed" in str(error):
                raise AuthError(
                    f"{url}: its certificate is not trusted", hint="--tls-ca FILE, or --tls-pin after a look at it"
                ) from None
            if "timed out" in str(error).lower():
                raise TimedOutError(f"{url}: no answer", hint="is it there?") from None
            raise UnreachableError(f"{url}: {error}", hint="is it there, and is the port open?") from None
        return client

    async def _tls(self) -> ssl.SSLContext | None:
        """None for mqtt://. A pinned certificate is looked at first and is then the only one that is trusted."""
        endpoint = self._endpoint
        if endpoint.scheme != "mqtts":
            return None
        if endpoint.insecure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        if not endpoint.tls_pin:
            return ssl.create_default_context(cafile=str(endpoint.tls_ca) if endpoint.tls_ca else None)
        try:
            pem = await asyncio.to_thread(
                ssl.get_server_certificate, (endpoint.host, endpoint.port), timeout=min(endpoint.timeout_s, 30.0)
            )
        except OSError as error:
            raise UnreachableError(f"{endpoint.url}: {error}", hint="is it there, and does it speak TLS?") from None
        if hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() != endpoint.tls_pin:
            raise AuthError(
                f"{endpoint.url}: another certificate than the pinned one", hint="look at the broker before you pin it"
            )
        context = ssl.create_default_context(cadata=pem)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    async def _listen(self, client: aiomqtt.Client) -> None:
        try:
            async for message in client.messages:
                payload, topic = message.payload, message.topic.value
                if isinstance(payload, bytes | bytearray):
                    for bus in self.buses.values():
                        bus.hear(topic, bytes(payload), time.time())
        except aiomqtt.MqttError as error:
            self.ended = UnreachableError(f"{self._endpoint.url}: {error}", hint="it is asked again later")
            _sessions.pop(self._key, None)

    async def end(self) -> None:
        _sessions.pop(self._key, None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                await self._client.__aexit__(None, None, None)
            self._client = None


def session(endpoint: Endpoint) -> BrokerSession:
    """The session of that broker and user in this event loop; give it back with `release`."""
    who = endpoint.credentials
    key: _Key = (
        id(asyncio.get_running_loop()),
        endpoint.scheme,
        endpoint.host,
        endpoint.port,
        who.user,
        who.password,
        endpoint.tls_pin,
        str(endpoint.tls_ca or ""),
        endpoint.insecure,
    )
    found = _sessions.get(key)
    if found is None:
        found = _sessions[key] = BrokerSession(endpoint, key)
    found.users += 1
    return found


async def release(one: BrokerSession) -> None:
    one.users -= 1
    if one.users <= 0:
        await one.end()

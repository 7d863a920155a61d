"""The door to a source: what every kind of endpoint offers, and how a URL finds its plugin."""

from __future__ import annotations

import importlib
from typing import Protocol

from fleetctl.errors import NotFoundError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, RawValue
from fleetctl.plugin import load_plugins


class Source(Protocol):
    """One open endpoint. Trouble with a part is a finding in the report; trouble with the whole is an error.

    Errors: AuthError, UnreachableError, TimedOutError, ParseError of fleetctl.errors.
    """

    async def read(self) -> EndpointReport:
        """Everything the endpoint tells: the slow, complete way; also learns what `poll` asks."""

    async def poll(self) -> EndpointReport:
        """The values that change, in as few questions as the endpoint allows (`read` the first time)."""

    async def explain(self) -> list[RawValue]:
        """Raw beside decoded values."""

    async def close(self) -> None:
        """End the session at the device, too, so that it does not run out of them."""


class PowerActor(Protocol):
    """A source that can also act: BMCs, and PDUs that switch outlets."""

    async def power_state(self) -> str:
        """on, off or unknown."""

    async def act(self, action: str, value: float | None = None) -> str:
        """on, off, off_now, cycle, identify, identify_off, cap (value: watts, None lifts it). Returns what was said."""


class SourceFactory(Protocol):
    def __call__(self, endpoint: Endpoint) -> Source: ...


def open_source(endpoint: Endpoint) -> Source:
    """The source for an endpoint, not yet connected. Raises NotFoundError when no plugin reads that scheme."""
    loaded, broken = load_plugins()
    for plugin in loaded:
        target = plugin.sources.get(endpoint.scheme)
        if target:
            module, _, name = target.partition(":")
            try:
                factory: SourceFactory = getattr(importlib.import_module(module), name)
            except ImportError as error:
                raise NotFoundError(
                    f"{plugin.title} cannot be read: {error}", hint=f"pip install 'fleetctl[{plugin.name}]'"
                ) from None
            return factory(endpoint)
    hint = f"broken plugins: {', '.join(b.name for b in broken)}" if broken else "fleetctl plugins lists what is there"
    raise NotFoundError(f"no plugin reads {endpoint.scheme}://", hint=hint)

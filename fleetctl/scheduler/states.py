"""The life of a node: every verb, from where to where, and who may say it, in one table.

The wish is stored; DRAINING and DRAINED are derived from it and from what runs. The same table serves the planner
(what is skipped and why), the engine (what it may record) and the page in docs/design.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fleetctl.errors import UsageError
from fleetctl.model.admin import Actor, ActorKind, NodeAdmin, OutsideState, Reason, Wish
from fleetctl.model.states import Admin, ReasonClass

_PERSON = frozenset({ActorKind.PERSON})
_OURS = frozenset({ActorKind.PERSON, ActorKind.RULE})
_ANYONE = frozenset(ActorKind)


@dataclass(frozen=True, slots=True)
class Transition:
    """verb: as typed; sources: admin states it starts from; wish: what is then wanted; who: may say it."""

    verb: str
    sources: frozenset[Admin]
    wish: Wish
    who: frozenset[ActorKind]
    doc: str


def _from(*states: Admin) -> frozenset[Admin]:
    return frozenset(states)


_A = Admin
TRANSITIONS: tuple[Transition, ...] = (
    Transition("stage", _from(_A.IN_SERVICE, _A.RMA, _A.RETIRED), Wish.STAGE, _PERSON, "known, not yet trusted"),
    Transition("burn_in", _from(_A.STAGED, _A.RMA), Wish.BURN_IN, _OURS, "under load before its first tenant"),
    Transition("accept", _from(_A.STAGED, _A.BURN_IN, _A.VERIFY), Wish.SERVE, _OURS, "checks passed: takes work"),
    Transition("cordon", _from(_A.IN_SERVICE), Wish.CORDON, _ANYONE, "takes no new work"),
    Transition(
        "drain",
        _from(_A.IN_SERVICE, _A.CORDONED, _A.DRAINING, _A.BURN_IN, _A.VERIFY),
        Wish.DRAIN,
        _ANYONE,
        "takes no new work, running work ends",
    ),
    Transition(
        "maint",
        _from(_A.IN_SERVICE, _A.CORDONED, _A.DRAINING, _A.DRAINED, _A.VERIFY, _A.STAGED, _A.BURN_IN, _A.QUARANTINED),
        Wish.MAINT,
        _PERSON,
        "drains, then people may work on it",
    ),
    Transition(
        "verify",
        _from(_A.MAINTENANCE, _A.DRAINED, _A.QUARANTINED, _A.RMA, _A.STAGED, _A.BURN_IN),
        Wish.VERIFY,
        _OURS,
        "return-to-service checks run",
    ),
    Transition(
        "resume",
        _from(_A.CORDONED, _A.DRAINING, _A.DRAINED, _A.MAINTENANCE, _A.VERIFY),
        Wish.SERVE,
        _OURS,
        "takes work again",
    ),
    Transition(
        "quarantine",
        _from(
            _A.STAGED,
            _A.BURN_IN,
            _A.IN_SERVICE,
            _A.CORDONED,
            _A.DRAINING,
            _A.DRAINED,
            _A.MAINTENANCE,
            _A.VERIFY,
        ),
        Wish.QUARANTINE,
        _OURS,
        "not to be trusted: no work until its checks pass",
    ),
    Transition("rma", _from(_A.QUARANTINED, _A.DRAINED, _A.MAINTENANCE), Wish.RMA, _PERSON, "away for repair"),
    Transition(
        "retire", _from(_A.STAGED, _A.DRAINED, _A.MAINTENANCE, _A.QUARANTINED, _A.RMA), Wish.RETIRE, _PERSON, "gone"
    ),
)
BY_VERB: Mapping[str, Transition] = MappingProxyType({t.verb: t for t in TRANSITIONS})


def derive(wish: Wish, busy: bool | None) -> Admin:
    """The admin state of a wish on a node where work runs (True), does not (False), or nobody can tell (None).

    Nobody can tell counts as busy: blind is never drained.
    """
    idle = busy is False
    if wish is Wish.DRAIN:
        return Admin.DRAINED if idle else Admin.DRAINING
    if wish is Wish.MAINT:
        return Admin.MAINTENANCE if idle else Admin.DRAINING
    if wish in (Wish.RMA, Wish.RETIRE) and not idle:
        return Admin.DRAINING
    return _SETTLED[wish]


_SETTLED: Mapping[Wish, Admin] = {
    Wish.STAGE: Admin.STAGED,
    Wish.BURN_IN: Admin.BURN_IN,
    Wish.SERVE: Admin.IN_SERVICE,
    Wish.CORDON: Admin.CORDONED,
    Wish.VERIFY: Admin.VERIFY,
    Wish.QUARANTINE: Admin.QUARANTINED,
    Wish.RMA: Admin.RMA,
    Wish.RETIRE: Admin.RETIRED,
}


def effective(record: NodeAdmin, outside: OutsideState | None, busy: bool | None) -> Admin:
    """What a person should see: our own wish where we have one, else what an outside scheduler says.

    A node its own scheduler may still give work to is not empty, whatever runs there now.
    """
    if outside is not None and (outside.busy or outside.state is Admin.IN_SERVICE):
        busy = True
    own = derive(record.wish, busy)
    if own is Admin.IN_SERVICE and outside is not None:
        return outside.state
    return own


def owner_of(record: NodeAdmin, outside: OutsideState | None) -> Actor | None:
    """Who keeps the node as it is; None while it is in service."""
    if record.wish is not Wish.SERVE:
        return record.owner
    if outside is not None and outside.state is not Admin.IN_SERVICE:
        return Actor(ActorKind.OUTSIDE, f"{outside.backend}:{outside.owner}" if outside.owner else outside.backend)
    return None


def why_not(
    verb: str,
    record: NodeAdmin,
    outside: OutsideState | None,
    state: Admin,
    who: Actor,
    *,
    take_over: bool = False,
    harder: bool = False,
) -> str:
    """Why this verb does nothing on this node; "" when it may. One sentence for the plan's list of skipped nodes.

    take_over: the person says in so many words that somebody else's drain is to be undone; harder: the same wish, but
    with another deadline than the one in force.
    """
    transition = BY_VERB[verb]
    if who.kind not in transition.who:
        return f"{verb} is for {' or '.join(sorted(k.value for k in transition.who))}, not for a {who.kind.value}"
    releases = verb in ("resume", "accept")
    if (
        releases
        and not take_over
        and outside is not None
        and outside.state is not Admin.IN_SERVICE
        and not outside.ours
    ):
        owner = owner_of(NodeAdmin(record.host), outside)
        return f"taken out by {owner} ({outside.reason or 'no reason given'}); `fleetctl resume --take-over` undoes it"
    again = record.wish is transition.wish and not (harder and state is Admin.DRAINING)
    if again and not (releases and state is not Admin.IN_SERVICE):
        return f"is {state.value.replace('_', ' ')} already" + (f" by {record.owner}" if record.owner else "")
    if state not in transition.sources:
        return _refusal(verb, state)
    if who.kind is ActorKind.RULE and record.wish is not Wish.SERVE and record.owner != who:
        # Automation may only make its own mind up again, never a person's.
        if releases:
            return f"held by {record.owner}; a rule releases only what it took itself"
        if verb != "quarantine":
            return f"held by {record.owner}"
    return ""


def is_there(verb: str, record: NodeAdmin, state: Admin) -> bool:
    """Is the node where this verb would bring it? Then nothing is to be done, and nothing is wrong."""
    if verb in ("resume", "accept"):
        return state is Admin.IN_SERVICE
    return record.wish is BY_VERB[verb].wish


def _refusal(verb: str, state: Admin) -> str:
    if verb in ("resume", "accept") and state is Admin.QUARANTINED:
        return "is quarantined: it comes back through `recheck --resume-if-ok`"
    if verb == "resume" and state is Admin.IN_SERVICE:
        return "is in service already"
    allowed = ", ".join(sorted(s.value for s in BY_VERB[verb].sources))
    return f"is {state.value.replace('_', ' ')}; {verb} starts from {allowed}"


def parse_reason(text: str) -> Reason:
    """`class: text` -> Reason. Raises UsageError saying what is missing."""
    head, colon, tail = text.partition(":")
    classes = ", ".join(c.value for c in ReasonClass)
    hint = f'write it as "class: text", class one of {classes}; for example "hw: xid 79 on card 3"'
    try:
        cls = ReasonClass(head.strip().lower())
    except ValueError:
        what = f"{head.strip()!r} is no reason class" if colon else "the reason has no class"
        raise UsageError(what, hint=hint) from None
    words = " ".join("".join(c if c.isprintable() else " " for c in tail).split())
    if not words:
        raise UsageError("the reason has no text", hint=hint)
    if len(words) > 500:
        raise UsageError("the reason is longer than 500 characters", hint="put the long story into the ticket")
    return Reason(cls, words)

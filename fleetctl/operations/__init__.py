"""What an operator may ask for: each function builds a Plan or saves a confirmed one; keys and commands call the same."""

from fleetctl.operations.allocate import allocate, make_request, quote, release, renew, reserve, unreserve
from fleetctl.operations.applying import apply, cancel, plan_undo
from fleetctl.operations.node_verbs import (
    plan_cordon,
    plan_drain,
    plan_life,
    plan_maint,
    plan_quarantine,
    plan_resume,
)

__all__ = [
    "allocate",
    "apply",
    "cancel",
    "make_request",
    "plan_cordon",
    "plan_drain",
    "plan_life",
    "plan_maint",
    "plan_quarantine",
    "plan_resume",
    "plan_undo",
    "quote",
    "release",
    "renew",
    "reserve",
    "unreserve",
]

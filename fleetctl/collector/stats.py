"""The collector measures itself: one record per round."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RoundStats:
    """One closed round. slot: its start, epoch seconds; duration_s: from its start to its last answer; ok and failed:
    hosts; late: hosts whose turn came while an earlier one was still running; lag_s: the longest a turn waited for the
    event loop; frames_damaged: frames that did not match their check; handed_s: longest wait for the receiver."""

    slot: int
    hosts: int
    ok: int
    failed: int
    late: int
    duration_s: float
    lag_s: float
    frames_damaged: int = 0
    handed_s: float = 0.0

    def line(self) -> str:
        """For the log."""
        return (
            f"round {self.slot}: {self.ok} ok, {self.failed} failed, {self.late} late of {self.hosts} hosts, "
            f"last answer after {self.duration_s:.1f} s, lag {self.lag_s * 1000:.0f} ms"
        )


@dataclass(slots=True)
class RoundTally:
    """The round that is running."""

    slot: int
    ok: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    late: int = 0
    last_at: float = 0.0
    lag_s: float = 0.0
    damaged: int = 0
    handed_s: float = 0.0

    def close(self, hosts: int) -> RoundStats:
        return RoundStats(
            self.slot,
            hosts,
            len(self.ok),
            len(self.failed - self.ok),
            self.late,
            max(0.0, self.last_at - self.slot),
            self.lag_s,
            self.damaged,
            self.handed_s,
        )

"""What SIGHUP means to an engine: its terminal is gone, so it stops; it has none, so its settings are to be read anew.

A terminal or an ssh session that closes sends SIGHUP to what runs in it, and `systemctl reload` sends it to a service,
which has no terminal. Whoever said `nohup` wants neither.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable


def is_ignored() -> bool:
    """Whether somebody said `nohup`."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def has_terminal() -> bool:
    """Whether this process hangs on a terminal. To be asked at the start: it cannot be told any more when it is gone."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def start_again() -> None:
    """Become the same command once more: same pid, new settings. Only after the old engine has stopped in order."""
    os.execv(sys.executable, [sys.executable, "-m", "fleetctl", *sys.argv[1:]])


Reread = Callable[[], object]  # reads the settings; raises FleetctlError when they may not be taken

"""`fleetctl` and `python -m fleetctl`: words to errors and exit codes; everything else is in cli/."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Exits with the codes of docs/reference/exit-codes.md."""
    from fleetctl import garbage

    garbage.look_less()  # before the imports: they make fifty thousand objects that stay
    from fleetctl.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

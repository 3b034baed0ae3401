"""The command line: `python -m medtrack.development.services serve`, and `… run -- COMMAND`."""

import argparse
import signal
import sys
from pathlib import Path

# Until a handler is installed, Ctrl-C ends the process without a traceback, also during the imports below.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from medtrack.development.services.refusal import RefusalError  # noqa: E402
from medtrack.development.services.run import run  # noqa: E402
from medtrack.development.services.server import serve  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m medtrack.development.services", description=__doc__)
    subcommands = parser.add_subparsers(dest="subcommand", required=True)
    subcommands.add_parser("serve", help="the whole product, until Ctrl-C")
    run_parser = subcommands.add_parser("run", help="a command with a PostgreSQL and a Redis of its own")
    run_parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    try:
        if options.subcommand == "run":
            return run(options.command)
        serve(Path.cwd())
    except RefusalError as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'MedTrack'}: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

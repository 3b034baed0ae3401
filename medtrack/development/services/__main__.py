"""The command line: `python -m medtrack.development.services serve`, and `… run -- COMMAND`."""

import argparse
import signal
import sys
from pathlib import Path

# Until somebody listens for it, Ctrl-C just ends us, also in the middle of the imports.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from medtrack.development.services.refusal import RefusalError  # noqa: E402
from medtrack.development.services.run import run  # noqa: E402
from medtrack.development.services.server import serve  # noqa: E402


def main() -> int:
    options = _parser().parse_args()
    try:
        if options.what == "run":
            return run(options.command)
        serve(Path.cwd())
    except RefusalError as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"{problem.filename or 'MedTrack'}: {problem.strerror}.", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medtrack.development.services", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("serve", help="the whole product, until Ctrl-C")
    command = commands.add_parser("run", help="a command with a PostgreSQL and a Redis of its own")
    command.add_argument("command", nargs="+", metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())

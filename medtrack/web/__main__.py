"""`python -m medtrack.web` runs the web processes; with `check` it exits with 0 when all answer probes."""

import asyncio
import os
import sys

from medtrack.observability.logs import line_logger
from medtrack.web.client import get
from medtrack.web.configuration import Configuration, ConfigurationError
from medtrack.web.launcher import Launcher


def main() -> int:
    try:
        configuration = Configuration.read(os.environ)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if sys.argv[1:] == ["check"]:
        return asyncio.run(check(configuration))
    log = line_logger("medtrack.web", configuration.log_format)
    return asyncio.run(Launcher(configuration, log).run())


async def check(configuration: Configuration) -> int:
    """Returns the exit status."""
    responses = [await get(address.probes, "/livez") for address in configuration.addresses]
    return int(any(response is None for response in responses))


if __name__ == "__main__":
    sys.exit(main())

"""The list of faults, which the modules of faults add themselves to."""

from collections.abc import Callable

from medtrack.tests.faults.stage import Stage

Fault = Callable[[Stage], None]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """What is done is over when the function returns; the runner then has the work finished and judges."""

    def add(act: Fault) -> Fault:
        assert name not in FAULTS, name
        FAULTS[name] = act
        return act

    return add

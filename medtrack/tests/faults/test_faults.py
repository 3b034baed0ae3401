"""Every fault of the suite once, as `script/faults` does them: nothing lost, no repeat unexplained."""

from collections.abc import Iterator

import pytest

from medtrack.tests.faults.catalogue import FAULTS
from medtrack.tests.faults.mutants import MUTANTS, mutated
from medtrack.tests.faults.runner import run
from medtrack.tests.faults.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_loses_nothing_and_explains_every_repeat(stage: Stage, name: str) -> None:
    report = run(name, stage)
    assert report.is_good, report


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_still_finds_what_it_takes_away(name: str) -> None:
    with mutated(MUTANTS[name]):
        pass

"""What the watchdog takes for a hang. No process and no clock: observations and seconds are passed in."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from medtrack.web.watchdog import IDLE_SECONDS, START_SECONDS, Observation, Watchdog

HANG = 60
CHECK = 5
ANSWERS = Observation(answered=True)
STUCK = Observation(running=2, finished=7)
IDLE = Observation(running=0, finished=7)
SILENT = Observation(is_database_available=False)
PAUSED = Observation(is_database_available=False, is_paused=True)
WITHOUT_DATABASE = Observation(running=2, finished=7, is_database_available=False)


def seconds_until_it_hangs(
    observations: Iterable[Observation], *, watchdog: Watchdog | None = None
) -> int | None:
    """After an answer at second 0 there is a observation every five seconds."""
    watchdog = watchdog or started()
    for number, observation in enumerate(observations, 1):
        if watchdog.hangs(observation, number * CHECK):
            return number * CHECK
    return None


def started() -> Watchdog:
    watchdog = Watchdog(HANG)
    assert not watchdog.hangs(ANSWERS, 0)
    return watchdog


def test_a_process_hangs_when_no_request_finishes_while_the_proxy_waits() -> None:
    # The first observation begins the count.
    assert seconds_until_it_hangs([STUCK] * 100) == HANG + CHECK


def test_a_process_with_idle_threads_hangs_sooner() -> None:
    assert seconds_until_it_hangs([IDLE] * 100) == IDLE_SECONDS + CHECK


def test_a_process_that_answers_no_probe_hangs() -> None:
    assert seconds_until_it_hangs([SILENT] * 100) == HANG


def test_a_busy_process_does_not_hang_while_requests_finish() -> None:
    assert seconds_until_it_hangs(Observation(running=2, finished=n // 10) for n in range(1000)) is None


def test_one_answer_within_the_limit_is_enough() -> None:
    assert seconds_until_it_hangs(([STUCK] * 11 + [ANSWERS]) * 100) is None


def test_a_process_does_not_hang_while_the_database_does_not_answer() -> None:
    assert seconds_until_it_hangs([WITHOUT_DATABASE] * 1000) is None


def test_a_paused_process_does_not_hang_and_then_has_the_whole_limit() -> None:
    assert seconds_until_it_hangs([PAUSED] * 1000) is None
    assert seconds_until_it_hangs([PAUSED] * 100 + [STUCK] * 12) is None


def test_no_process_hangs_after_the_machine_slept() -> None:
    watchdog = started()
    for hours in range(1, 100):
        assert not watchdog.hangs(STUCK, hours * 3600)
        assert not watchdog.hangs(STUCK, hours * 3600 + CHECK)


def test_a_process_has_more_time_to_start() -> None:
    assert seconds_until_it_hangs([SILENT] * 100, watchdog=Watchdog(HANG)) == START_SECONDS + CHECK


observations = st.builds(
    Observation,
    answered=st.booleans(),
    running=st.none() | st.integers(0, 4),
    finished=st.none() | st.integers(0, 3),
    is_database_available=st.booleans(),
    is_paused=st.booleans(),
)


@given(st.lists(st.tuples(observations, st.floats(0, 10_000)), max_size=50))
def test_no_process_hangs_that_answered_within_the_shortest_limit(
    seen: list[tuple[Observation, float]],
) -> None:
    watchdog, now, answered_at = started(), 0.0, 0.0
    for observation, elapsed in seen:
        now += elapsed
        if observation.answered:
            answered_at = now
        if watchdog.hangs(observation, now):
            assert now - answered_at >= IDLE_SECONDS

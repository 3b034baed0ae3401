"""What the watchdog takes for a hang, and what it excuses. No process, no clock: sightings and seconds."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from medtrack.web.watchdog import DEAF_SECONDS, START_SECONDS, Sighting, Watchdog

HANG = 60
LOOK = 5
ANSWERS = Sighting(answered=True)
STUCK = Sighting(running=2, finished=7)
DEAF = Sighting(running=0, finished=7)
SPEECHLESS = Sighting(is_database_there=False)
PAUSED = Sighting(is_database_there=False, is_paused=True)
WITHOUT_DATABASE = Sighting(running=2, finished=7, is_database_there=False)


def seconds_until_it_hangs(sightings: Iterable[Sighting], *, watchdog: Watchdog | None = None) -> int | None:
    """After an answer at second 0 there is a sighting every five seconds."""
    watchdog = watchdog or started()
    for number, sighting in enumerate(sightings, 1):
        if watchdog.hangs(sighting, number * LOOK):
            return number * LOOK
    return None


def started() -> Watchdog:
    watchdog = Watchdog(HANG)
    assert not watchdog.hangs(ANSWERS, 0)
    return watchdog


def test_a_process_hangs_when_no_request_ends_for_as_long_as_the_proxy_waits() -> None:
    # The first sighting begins the count.
    assert seconds_until_it_hangs([STUCK] * 100) == HANG + LOOK


def test_one_with_idle_threads_that_is_silent_hangs_sooner() -> None:
    assert seconds_until_it_hangs([DEAF] * 100) == DEAF_SECONDS + LOOK


def test_one_that_says_nothing_at_all_hangs() -> None:
    assert seconds_until_it_hangs([SPEECHLESS] * 100) == HANG


def test_a_busy_one_does_not_hang_as_long_as_requests_end() -> None:
    assert seconds_until_it_hangs(Sighting(running=2, finished=n // 10) for n in range(1000)) is None


def test_an_answer_now_and_then_is_enough() -> None:
    assert seconds_until_it_hangs(([STUCK] * 11 + [ANSWERS]) * 100) is None


def test_a_database_that_does_not_answer_is_not_mended_by_ending_processes() -> None:
    assert seconds_until_it_hangs([WITHOUT_DATABASE] * 1000) is None


def test_a_paused_process_is_left_alone_and_has_all_its_time_afterwards() -> None:
    assert seconds_until_it_hangs([PAUSED] * 1000) is None
    assert seconds_until_it_hangs([PAUSED] * 100 + [STUCK] * 12) is None


def test_a_machine_that_slept_finds_no_process_guilty() -> None:
    watchdog = started()
    for hours in range(1, 100):
        assert not watchdog.hangs(STUCK, hours * 3600)
        assert not watchdog.hangs(STUCK, hours * 3600 + LOOK)


def test_a_process_may_take_its_time_to_start() -> None:
    assert seconds_until_it_hangs([SPEECHLESS] * 100, watchdog=Watchdog(HANG)) == START_SECONDS + LOOK


sightings = st.builds(
    Sighting,
    answered=st.booleans(),
    running=st.none() | st.integers(0, 4),
    finished=st.none() | st.integers(0, 3),
    is_database_there=st.booleans(),
    is_paused=st.booleans(),
)


@given(st.lists(st.tuples(sightings, st.floats(0, 10_000)), max_size=50))
def test_no_process_is_ended_that_answered_within_the_shortest_limit(
    seen: list[tuple[Sighting, float]],
) -> None:
    watchdog, now, answered_at = started(), 0.0, 0.0
    for sighting, elapsed in seen:
        now += elapsed
        if sighting.answered:
            answered_at = now
        if watchdog.hangs(sighting, now):
            assert now - answered_at >= DEAF_SECONDS

"""The project's pace: what a bucket lets through, alone and shared through a real Redis."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from notifications.pacing import ALONE, BURST, FLOOR, LULL, TRICKLE, Bucket, Pace

RATE = 10_000.0
RAMP = 60.0
START = 1_800_000_000.0
requests = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 20_000)), min_size=1, max_size=200)


@given(requests)
def test_no_stretch_of_time_sees_more_than_the_rate_and_one_burst(requests: list[tuple[float, int]]) -> None:
    bucket, now = Bucket(RATE, RAMP), START
    granted = []
    for pause, wanted in requests:
        now += pause
        granted.append((now, bucket.take(wanted, now=now)))
        assert 0 <= granted[-1][1] <= wanted
    for first in range(len(granted)):
        total = 0
        for at, number in granted[first:]:
            total += number
            assert total <= RATE * (at - granted[first][0]) + RATE * BURST + 1


def served(bucket: Bucket, seconds: float, *, now: float) -> int:
    """What a dispatcher gets that always wants more, asking a hundred times a second."""
    return sum(bucket.take(100_000, now=now + step / 100) for step in range(int(seconds * 100)))


def test_a_wave_begins_slowly_and_reaches_the_full_rate_after_the_ramp() -> None:
    bucket = Bucket(RATE, RAMP)
    seconds = [served(bucket, 1, now=START + second) for second in range(90)]
    assert seconds[0] <= FLOOR * (1 + BURST) + RATE / RAMP
    assert all(after >= before - 1 for before, after in pairwise(seconds[1:]))
    assert all(number == pytest.approx(RATE, rel=0.01) for number in seconds[61:])


def test_after_a_lull_the_next_wave_begins_slowly_again() -> None:
    bucket = Bucket(RATE, RAMP)
    served(bucket, 80, now=START)
    assert served(bucket, 1, now=START + 80 + LULL + 1) < FLOOR * 2


def test_a_lone_reminder_never_waits() -> None:
    bucket = Bucket(RATE, RAMP)
    assert all(bucket.take(1, now=START + hour * 3600) == 1 for hour in range(24))


def test_too_much_for_fcm_means_from_the_floor_again() -> None:
    bucket = Bucket(RATE, RAMP)
    served(bucket, 80, now=START)
    bucket.slow_down(now=START + 80)
    assert served(bucket, 1, now=START + 80) <= FLOOR + RATE / RAMP


def test_a_trickle_lets_a_few_through_until_it_is_over() -> None:
    bucket = Bucket(RATE, RAMP)
    bucket.trickle(60, now=START)
    assert 1 <= served(bucket, 10, now=START) <= 10 * TRICKLE + 3
    assert bucket.is_trickling(now=START + 59.9)
    assert not bucket.is_trickling(now=START + 60)


def test_a_trickle_that_ends_early_begins_a_wave() -> None:
    bucket = Bucket(RATE, RAMP)
    bucket.trickle(60, now=START)
    served(bucket, 5, now=START)
    bucket.trickle(0, now=START + 5)
    assert served(bucket, 1, now=START + 5) > FLOOR / 2


def test_ending_no_trickle_changes_nothing() -> None:
    bucket = Bucket(RATE, 0)
    served(bucket, 1, now=START)
    before = asdict(bucket)
    bucket.trickle(0, now=START + 1)
    assert asdict(bucket) == before


def test_a_rate_below_the_floor_is_kept() -> None:
    assert served(Bucket(10, RAMP), 10, now=START) <= 10 * 10 * (1 + BURST)


def test_the_lowest_rate_still_sends() -> None:
    assert 20 <= served(Bucket(2.5, 0), 10, now=START) <= 27


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = Bucket(RATE, 0)
    served(bucket, 2, now=START)
    assert bucket.take(100_000, now=START - 5) == 0


@pytest.fixture
def project() -> Iterator[str]:
    name = str(uuid4())
    yield name
    redis.Redis.from_url(settings.REDIS_URL).delete(f"fcm-pace:{name}")


def pace(project: str, *, url: str = settings.REDIS_URL, rate: float = RATE) -> Pace:
    return Pace(url, project_id=project, rate=rate, ramp=0)


def test_dispatchers_share_one_bucket(project: str) -> None:
    many = [pace(project, rate=100) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        granted = list(pool.map(lambda one: sum(one.take(1_000) for _ in range(5)), many))
    # A quarter of a second's worth at once, and what trickled in meanwhile.
    assert 25 <= sum(granted) <= 25 + 100 * 10


def test_one_dispatcher_slows_all_down(project: str) -> None:
    one, other = pace(project), pace(project)
    assert not other.is_trickling()
    one.trickle(60)
    assert other.is_trickling()
    assert other.take(1_000) <= 3


def test_without_redis_a_dispatcher_goes_on_by_itself_with_a_part_of_the_rate(project: str) -> None:
    alone = pace(project, url="redis://127.0.0.1:1/0")
    assert alone.take(100_000) == int(RATE * ALONE * BURST)
    alone.trickle(60)
    assert alone.is_trickling()


@pytest.mark.parametrize(
    "nonsense", [b"", b"7", b"{", b"\xff", b'{"tokens": "many"}', b'{"colour": "red"}', b"[]"]
)
def test_nonsense_in_redis_stops_nobody(project: str, nonsense: bytes) -> None:
    redis.Redis.from_url(settings.REDIS_URL).set(f"fcm-pace:{project}", nonsense)
    assert pace(project).take(1) == 1


def test_what_redis_holds_says_nothing_about_anybody(project: str) -> None:
    pace(project).take(5)
    held = redis.Redis.from_url(settings.REDIS_URL).get(f"fcm-pace:{project}")
    assert set(json.loads(held or b"")) == {"rate", "ramp", "tokens", "at", "since", "trickle_until"}

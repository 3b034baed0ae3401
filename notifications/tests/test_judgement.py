"""Streams of answers against verdicts: people count, over time; messages and test pushes do not."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from medtrack.tests.support.builders import device_of, dose_due, person, push_a_test
from medtrack.tests.support.elapsed_time import move_into_past
from notifications import queue
from notifications.judgement import MISMATCH, UNREGISTERED, USERS, Judge, is_in_doubt, judged, last_answers
from notifications.models import DeviceToken, FirebaseProject, NotificationLog, PushDelivery
from notifications.queue import Claim, Push, PushResult, Turn
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials
from users.models import User

ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
STRANGE = FcmResult(FcmResultKind.REVOKE, MISMATCH)
GONE = FcmResult(FcmResultKind.REVOKE, UNREGISTERED)
REFUSED = FcmResult(FcmResultKind.REFUSED, "HTTP_401", pause=timedelta(seconds=60))
BUSY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE", pause=timedelta(seconds=10))


@pytest.mark.parametrize(
    ("refused", "accepted", "expected"),
    [
        (USERS, 0, True),
        (USERS - 1, 0, False),
        (0, 0, False),
        (9, 1, True),
        (89, 11, False),
        (90, 10, True),
        (100, 1_000, False),
    ],
)
def test_a_project_is_in_doubt_by_the_share_of_people(refused: int, accepted: int, expected: bool) -> None:
    people = {f"r{n}": True for n in range(refused)} | {f"a{n}": False for n in range(accepted)}
    assert is_in_doubt(people) == expected


@pytest.mark.parametrize(
    ("outcome", "in_doubt", "proven_wrong", "verdict"),
    [
        (STRANGE, False, False, FcmResultKind.SUSPECT),
        (STRANGE, False, True, FcmResultKind.REVOKE),
        (STRANGE, True, True, FcmResultKind.SUSPECT),
        (GONE, False, False, FcmResultKind.REVOKE),
        (GONE, True, False, FcmResultKind.SUSPECT),
        (FcmResult(FcmResultKind.REVOKE, "INVALID_TOKEN"), True, False, FcmResultKind.REVOKE),
        (REFUSED, True, False, FcmResultKind.REFUSED),
        (ACCEPTED, True, True, FcmResultKind.ACCEPTED),
    ],
)
def test_only_a_token_that_is_proven_wrong_is_revoked(
    outcome: FcmResult, in_doubt: bool, proven_wrong: bool, verdict: FcmResultKind
) -> None:
    assert judged(outcome, in_doubt=in_doubt, proven_wrong=proven_wrong).kind is verdict


class Answered:
    def __init__(self, push: Push, outcome: FcmResult) -> None:
        self.push = push
        self.outcomes = dict.fromkeys(push.devices, outcome)


PROJECT = "a-project"
RETRIED = (FcmResultKind.RETRY, FcmResultKind.SUSPECT, FcmResultKind.REFUSED)


def claim(turn: Turn = Turn.DOSES, **options: Any) -> Claim:
    return queue.claim(limit=100, lease=timedelta(seconds=25), turn=turn, project=PROJECT, **options)


def answer(claimed: Claim, outcomes: dict[str, FcmResult], *, judge: Judge | None = None) -> None:
    """FCM's answers by the person's name, as a dispatcher judges, marks and settles them."""
    names = {str(id): name for id, name in User.objects.values_list("id", "name")}
    judge = judge or Judge(PROJECT)
    answered = [Answered(push, outcomes[names[push.user_id]]) for push in claimed.pushes]
    judge.judge(answered)
    results = [
        PushResult(
            one.push,
            one.outcomes,
            timedelta(seconds=60) if any(o.kind in RETRIED for o in one.outcomes.values()) else None,
        )
        for one in answered
    ]
    queue.mark(results)
    judge.settle(results)


def people(*names: str) -> None:
    """Each with a phone."""
    for name in names:
        device_of(person(name).user)


def due(*names: str) -> None:
    """A dose for each of them, and a reminder that can be claimed."""
    for name in names:
        user = User.objects.get(name=name)
        count = NotificationLog.objects.filter(user=user).count()
        dose_due(user, timezone.now() - timedelta(seconds=1), medicine=f"Medicine {count}")
    queue.enqueue()


def phone(name: str) -> DeviceToken:
    return DeviceToken.objects.get(user__name=name)


def test_a_mismatch_makes_a_token_suspect_and_its_reminders_wait(db: None) -> None:
    people("Ana")
    due("Ana")
    answer(claim(), {"Ana": STRANGE})
    assert phone("Ana").revoked_at is None
    assert phone("Ana").suspect_since is not None
    assert not phone("Ana").is_reachable
    assert (NotificationLog.objects.get().status, PushDelivery.objects.get().outcome) == ("queued", "retry")
    due("Ana")
    assert claim().pushes == []
    later = NotificationLog.objects.latest("id")
    assert (later.status, later.reason) == ("queued", "device_in_doubt")
    assert later.retry_at is not None


def accepted_by(name: str) -> None:
    """The project is known to work: a push was accepted just now."""
    user = User.objects.get(name=name)
    FirebaseProject.objects.create(id=PROJECT, accepted_at=timezone.now(), accepted_user_id=user.id)


def test_a_suspect_token_of_a_project_that_works_gets_one_push_an_hour(db: None) -> None:
    people("Ana")
    due("Ana")
    answer(claim(), {"Ana": STRANGE})
    accepted_by("Ana")
    move_into_past(58)
    due("Ana")
    assert claim().pushes == []
    move_into_past(3)
    due("Ana")
    answer(claim(), {"Ana": ACCEPTED})
    assert phone("Ana").suspect_since is None
    assert phone("Ana").is_reachable


def test_a_mended_key_is_noticed_while_the_reminders_are_still_useful(db: None) -> None:
    names = [f"person-{n}" for n in range(USERS)]
    people(*names)
    due(*names)
    answer(claim(), dict.fromkeys(names, STRANGE))
    move_into_past(5)
    answer(claim(), dict.fromkeys(names, ACCEPTED))
    assert NotificationLog.objects.filter(status="accepted").count() == USERS


def test_a_project_that_never_had_an_accepted_push_revokes_nothing(db: None) -> None:
    people("Ana")
    for _ in range(3):
        due("Ana")
        answer(claim(), {"Ana": STRANGE})
        move_into_past(61)
    assert phone("Ana").revoked_at is None


def test_an_accepted_push_of_the_same_person_proves_nothing(db: None) -> None:
    people("Ana")
    device_of(User.objects.get(), "second-phone")
    for _ in range(3):
        due("Ana")
        for push in claim().pushes:
            one = Answered(push, STRANGE)
            one.outcomes |= {id: ACCEPTED for id, token in push.devices.items() if token == "second-phone"}
            judge = Judge(PROJECT)
            judge.judge([one])
            results = [PushResult(push, one.outcomes, timedelta(seconds=60))]
            queue.mark(results)
            judge.settle(results)
        move_into_past(61)
    assert DeviceToken.objects.filter(revoked_at=None).count() == 2


def test_a_mismatch_after_another_persons_push_was_accepted_revokes_the_token(db: None) -> None:
    people("Ana", "Ben")
    due("Ana", "Ben")
    answer(claim(), {"Ana": STRANGE, "Ben": ACCEPTED})
    assert phone("Ana").revoked_at is None, "the first mismatch proves nothing"
    due("Ben")
    answer(claim(), {"Ben": ACCEPTED})
    move_into_past(2)
    # Time for the next probe although no hour has passed.
    answer(claim(), {"Ana": STRANGE})
    assert phone("Ana").revoke_reason == MISMATCH
    ana = NotificationLog.objects.get(user__name="Ana")
    assert (ana.status, ana.reason) == ("dead", MISMATCH)


def test_after_a_wrong_key_is_mended_every_token_is_good_again(db: None) -> None:
    names = [f"person-{n}" for n in range(USERS + 2)]
    people(*names)
    for _ in range(3):
        due(*names)
        answer(claim(), dict.fromkeys(names, STRANGE))
        move_into_past(2)
    FirebaseProject.objects.create(id="another", accepted_at=timezone.now(), accepted_user_id=uuid4())
    for _ in range(2):
        due(*names)
        answer(claim(), dict.fromkeys(names, ACCEPTED))
        move_into_past(2)
    assert DeviceToken.objects.filter(revoked_at=None, suspect_since=None).count() == len(names)


def test_a_project_that_becomes_wrong_revokes_no_more_than_a_few(db: None) -> None:
    """Those answered one by one before the refusals of the people reminded last are many."""
    names = [f"person-{n}" for n in range(40)]
    people(*names)
    due(*names)
    answer(claim(), dict.fromkeys(names, ACCEPTED))
    move_into_past(60)
    due(*names)
    claimed = claim()
    for push in claimed.pushes:
        answer(Claim(1, [push]), dict.fromkeys(names, GONE))
    assert DeviceToken.objects.filter(revoked_at__isnull=False).count() <= 2


def test_an_answer_to_a_push_sent_before_the_acceptance_proves_nothing(db: None) -> None:
    people("Ana", "Ben")
    due("Ana")
    due("Ana", "Ben")
    claimed = claim().pushes
    ana = [push for push in claimed if push.user_id == str(User.objects.get(name="Ana").id)]
    ben = [push for push in claimed if push not in ana]
    answer(Claim(1, ana[:1]), {"Ana": STRANGE})
    answer(Claim(1, ben), {"Ben": ACCEPTED})
    answer(Claim(1, ana[1:]), {"Ana": STRANGE})
    assert phone("Ana").revoked_at is None


def test_while_the_project_is_in_doubt_unregistered_revokes_nothing(db: None) -> None:
    names = [f"person-{n}" for n in range(USERS)]
    people(*names)
    due(*names)
    judge = Judge(PROJECT)
    answer(claim(), dict.fromkeys(names, GONE), judge=judge)
    assert judge.in_doubt
    assert DeviceToken.objects.filter(revoked_at=None, suspect_since__isnull=False).count() == USERS


def test_unregistered_by_few_is_the_phones_own(db: None) -> None:
    people("Ana", "Ben")
    due("Ana", "Ben")
    answer(claim(), {"Ana": GONE, "Ben": GONE})
    assert DeviceToken.objects.filter(revoke_reason=UNREGISTERED).count() == 2


def test_one_account_with_many_tokens_is_one_person(db: None) -> None:
    people("Eve", "Ben")
    eve = User.objects.get(name="Eve")
    for number in range(USERS * 3):
        DeviceToken.objects.create(
            user=eve, session=phone("Ben").session, token=f"strange-{number}", platform="android"
        )
    judge = Judge(PROJECT)
    for _ in range(3):
        due("Eve", "Ben")
        answer(claim(), {"Eve": STRANGE, "Ben": ACCEPTED}, judge=judge)
        move_into_past(2)
    assert not judge.in_doubt
    assert sorted(last_answers().values()) in ([False], [False, True])


def test_test_pushes_are_neither_refusals_nor_acceptances(db: None) -> None:
    names = [f"person-{n}" for n in range(USERS)]
    people(*names)
    for name in names:
        push_a_test(phone(name), now=timezone.now())
    judge = Judge(PROJECT)
    answer(claim(Turn.TESTS), dict.fromkeys(names, REFUSED), judge=judge)
    assert not judge.in_doubt
    move_into_past(3)
    answer(claim(Turn.TESTS), dict.fromkeys(names, ACCEPTED), judge=judge)
    assert last_answers() == {}
    assert not FirebaseProject.objects.exists()


def test_what_says_nothing_about_the_project_does_not_count(db: None) -> None:
    people("Ana", "Ben")
    due("Ana", "Ben")
    answer(claim(), {"Ana": BUSY, "Ben": REFUSED})
    assert list(last_answers().values()) == [True]


def test_the_last_answer_of_each_person_counts(db: None) -> None:
    people("Ana", "Ben")
    due("Ana", "Ben")
    answer(claim(), {"Ana": ACCEPTED, "Ben": STRANGE})
    move_into_past(0.5)
    due("Ana")
    answer(claim(), {"Ana": REFUSED})
    names = {str(id): name for id, name in User.objects.values_list("id", "name")}
    assert {names[id]: refused for id, refused in last_answers().items()} == {"Ana": True, "Ben": True}


def test_registering_again_clears_a_suspect_token(ana: Credentials) -> None:
    device_of(ana.user)
    due("Ana")
    answer(claim(), {"Ana": STRANGE})
    device_of(ana.user)
    assert phone("Ana").suspect_since is None


def test_a_token_that_registered_after_the_claim_is_not_suspected(ana: Credentials) -> None:
    device_of(ana.user)
    due("Ana")
    claimed = claim()
    device_of(ana.user)
    answer(claimed, {"Ana": STRANGE})
    assert phone("Ana").suspect_since is None


def test_a_reminder_that_waited_for_a_suspect_token_expires_in_the_end(db: None) -> None:
    people("Ana")
    due("Ana")
    answer(claim(), {"Ana": STRANGE})
    move_into_past(31)
    claim()
    assert (NotificationLog.objects.get().status, NotificationLog.objects.get().reason) == ("dead", "expired")

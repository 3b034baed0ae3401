"""The dashboard: figures in words, the lists behind them, and the problems that need attention.

The modules `figures` and `notifications.engine_state` count; only they query the database.
"""

from dataclasses import dataclass
from datetime import datetime

from medtrack.console.dashboard.cards import doses_card, pushes_card, queue_card
from medtrack.console.dashboard.elements import Card, Notice, clock_text
from medtrack.console.dashboard.engine_cards import engine_card, processes_card
from medtrack.console.dashboard.figures import reminders_by_hour
from medtrack.console.dashboard.links import Links
from medtrack.console.dashboard.reminder_chart import HourChart, reminder_chart
from users.models import User


@dataclass(frozen=True)
class Dashboard:
    as_of: str
    zone: str
    notices: list[Notice]
    doses: Card
    reminders: HourChart
    cards: list[Card]


def dashboard(*, viewer: User, now: datetime) -> Dashboard:
    links = Links(viewer)
    doses = doses_card(links, now=now)
    hours = reminders_by_hour(now=now, zone=viewer.zone)
    reminders = reminder_chart(links, hours, viewer=viewer)
    cards = [
        queue_card(links, now=now),
        pushes_card(links, hours, now=now),
        processes_card(now=now),
        engine_card(links, viewer=viewer, now=now),
    ]
    # All of them above the cards too: an alarm must be seen without scrolling.
    notices = [notice for card in cards for notice in card.notices]
    return Dashboard(
        as_of=clock_text(now, viewer, "Y-m-d H:i:s"),
        zone=viewer.timezone,
        notices=sorted(notices, key=lambda notice: notice.level),
        doses=doses,
        reminders=reminders,
        cards=cards,
    )

"""Adherence as two pictures, a calendar of days and a line of weeks: geometry and words for templates. Pure.

Lengths are in the SVG's own units; colours are CSS classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.dates import MONTHS_3
from django.utils.translation import gettext as _

from dosing.adherence import Figures, Line, Period, PeriodLength, period_around
from medtrack.console.patient.facts import dates
from medtrack.console.patient.schedule_words import day_in_words, weekday

STEP = 20
LEFT, TOP = 34, 18
LINE_WIDTH, LINE_HEIGHT = 324, 158


@dataclass(frozen=True)
class Cell:
    """One day.

    `level` is a CSS class: `none` without doses, otherwise from 0 (nothing taken) to 4 (everything taken).
    """

    x: int
    y: int
    level: str
    title: str


@dataclass(frozen=True)
class Label:
    x: int
    y: int
    text: str


@dataclass(frozen=True)
class HeatMap:
    width: int
    height: int
    cells: list[Cell]
    weekdays: list[Label]
    months: list[Label]


@dataclass(frozen=True)
class Point:
    x: int
    y: int
    title: str


@dataclass(frozen=True)
class WeeklyLine:
    """`strokes` are the points of unbroken lines: a week without doses interrupts them."""

    width: int
    height: int
    left: int
    right: int
    strokes: list[str]
    points: list[Point]
    scale: list[Label]
    dates: list[Label]


def heat_map(days: Mapping[date, Figures], *, first: date, last: date, week_start: int) -> HeatMap:
    """Weeks are columns and weekdays are rows, beginning with the ISO weekday `week_start`."""
    start = period_around(first, PeriodLength.WEEKLY, week_start=week_start).start
    cells = []
    for day in dates(first, last):
        figures = days.get(day, Figures())
        column, row = divmod((day - start).days, 7)
        share = figures.taken / figures.due if figures.due else None
        # The lightest and the darkest colour mean exactly nothing and everything, not almost.
        if share is None:
            level = "none"
        elif share in (0, 1):
            level = "4" if share else "0"
        else:
            level = "3" if share >= 0.8 else "2" if share >= 0.5 else "1"
        title = f"{weekday(day.weekday())} {day_in_words(day)}: {_in_full(figures)}"
        cells.append(Cell(LEFT + column * STEP, TOP + row * STEP, level, title))
    columns = (last - start).days // 7 + 1
    rows = [
        Label(LEFT - 6, TOP + row * STEP + 12, weekday((week_start - 1 + row) % 7)) for row in (0, 2, 4, 6)
    ]
    months = []
    begins = [first] + [day for day in dates(first, last) if day.day == 1 and day != first]
    columns_of = [((day - start).days // 7, day) for day in begins]
    for number, (column, day) in enumerate(columns_of):
        following = columns_of[number + 1][0] if number + 1 < len(columns_of) else columns
        # The name stands above the column in which the month begins, if there is room before the next name.
        if following - column >= 2:
            months.append(Label(LEFT + column * STEP, TOP - 6, str(MONTHS_3[day.month]).capitalize()))
    return HeatMap(LEFT + columns * STEP, TOP + 7 * STEP, cells, rows, months)


def weekly_line(lines: Sequence[Line]) -> WeeklyLine:
    left, right, top, bottom = LEFT + 4, LINE_WIDTH - 18, 12, LINE_HEIGHT - 28
    step = (right - left) / max(len(lines) - 1, 1)
    xs = [round(left + number * step) for number in range(len(lines))]
    points: list[Point] = []
    strokes: list[list[str]] = [[]]
    for x, line in zip(xs, lines, strict=True):
        rate = line.figures.rate
        if rate is None:
            # The next point begins another stroke: a line across this week would invent a rate for it.
            strokes.append([])
            continue
        y = round(bottom - rate * (bottom - top))
        week = span_in_words(line.period) if line.period else ""
        points.append(Point(x, y, f"{week}: {_in_full(line.figures)}"))
        strokes[-1].append(f"{x},{y}")
    scale = [
        Label(left - 6, round(bottom - share * (bottom - top)), f"{share:.0%}") for share in (0, 0.5, 1.0)
    ]
    date_labels = [
        Label(x, LINE_HEIGHT - 5, f"{line.period.start.month}/{line.period.start.day}")
        for number, (x, line) in enumerate(zip(xs, lines, strict=True))
        # There is room for every fourth date only.
        if line.period and number % 4 == 0
    ]
    # One point makes no line; it is drawn as a dot all the same.
    joined = [" ".join(stroke) for stroke in strokes if len(stroke) > 1]
    return WeeklyLine(LINE_WIDTH, LINE_HEIGHT, left, right, joined, points, scale, date_labels)


def percent(figures: Figures) -> str:
    # Rounded down, so that 100 % means all of them.
    return f"{figures.taken * 100 // figures.due} %" if figures.due else "–"


def taken_of_due(figures: Figures) -> str:
    if not figures.due:
        return _("no doses")
    return _("%(taken)s of %(due)s taken") % {"taken": figures.taken, "due": figures.due}


def _in_full(figures: Figures) -> str:
    return f"{taken_of_due(figures)} ({percent(figures)})" if figures.due else taken_of_due(figures)


def span_in_words(period: Period) -> str:
    return f"{day_in_words(period.start)} – {day_in_words(period.end)}"

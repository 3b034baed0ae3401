"""Calculates the coordinates of charts, as the text of SVG attributes.

Uses neither Django nor the clock, and contains no texts. The colours are in console.css; templates and
`medtrack.console.dashboard.svg` draw. Everything fits into the given width and height, with the origin at the
top left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

# A tick every so many, whatever the power of ten.
_NICE = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of one kind, and how many it stands for."""

    kind: str
    count: float
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    """The boxes of one label from the bottom to the top; `x` and `width` are those of the whole column."""

    label: str
    total: float
    x: str
    middle: str
    width: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    value: int
    y: str


@dataclass(frozen=True, slots=True)
class Bars:
    width: str
    height: str
    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]


def bars(
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[int]]],
    *,
    width: float,
    height: float,
    gap: float = 0.25,
) -> Bars:
    """Returns stacked columns. Each series is a kind and its counts, one for each label.

    The first kind is at the bottom. `gap` is the share of a column's room that stays empty.
    """
    for kind, counts in series:
        if len(counts) != len(labels):
            raise ValueError(f"{kind} has {len(counts)} counts for {len(labels)} labels")
    totals = [sum(counts[n] for _kind, counts in series) for n in range(len(labels))]
    ticks = _ticks(max(totals, default=0))
    top = max(ticks)
    # Without labels there is nothing to draw, and nothing to divide by.
    room = width / max(len(labels), 1)
    columns = []
    for n, label in enumerate(labels):
        x, below = n * room, 0.0
        boxes = []
        for kind, counts in series:
            tall = counts[n] / top * height
            if counts[n]:
                y = height - below - tall
                boxes.append(
                    Box(kind, counts[n], *map(_text, (x + room * gap / 2, max(y, 0), room * (1 - gap), tall)))
                )
            # The next kind stands on top of this one.
            below += tall
        columns.append(Column(label, totals[n], _text(x), _text(x + room / 2), _text(room), tuple(boxes)))
    return Bars(
        _text(width),
        _text(height),
        tuple(columns),
        tuple(Tick(tick, _text(height - tick / top * height)) for tick in ticks),
    )


def share_bar(parts: Iterable[tuple[str, float]], *, width: float, height: float) -> tuple[Box, ...]:
    """Returns one bar of the whole width, divided by the parts' sizes, or no boxes if all sizes are 0."""
    sized = [(kind, size) for kind, size in parts if isfinite(size) and size > 0]
    whole = sum(size for _kind, size in sized)
    boxes, x = [], 0.0
    for kind, size in sized:
        wide = size / whole * width
        boxes.append(Box(kind, size, _text(x), "0", _text(wide), _text(height)))
        x += wide
    return tuple(boxes)


def _ticks(greatest: int) -> tuple[int, ...]:
    """From 0 to at least the greatest, at most five steps of a number that people count in."""
    power = 1
    while True:
        for nice in _NICE:
            step = nice * power
            if step * 5 >= greatest:
                steps = max(-(-greatest // step), 1)
                return tuple(step * n for n in range(steps + 1))
        power *= 10


def _text(number: float) -> str:
    """Hundredths are finer than any screen; without the point where there is nothing behind it."""
    return f"{number:.2f}".rstrip("0").rstrip(".") if number else "0"

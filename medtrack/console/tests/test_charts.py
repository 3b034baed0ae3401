"""Whatever the numbers, the drawing stays inside its frame and adds up."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtrack.console.dashboard.charts import bars, share_bar
from medtrack.console.dashboard.svg import share_bar_svg

WIDTH, HEIGHT = 720.0, 180.0
ROUNDING = 0.011
counts = st.lists(
    st.tuples(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 50)), min_size=1, max_size=48
)


def drawn(rows):
    series = [(kind, [row[n] for row in rows]) for n, kind in enumerate(("sent", "late", "dead"))]
    return bars([str(n) for n in range(len(rows))], series, width=WIDTH, height=HEIGHT)


@given(counts)
def test_boxes_are_as_high_as_what_they_stand_for_and_stand_on_each_other(rows):
    chart = drawn(rows)
    top = chart.ticks[-1].value
    for column, row in zip(chart.columns, rows, strict=True):
        assert column.total == sum(row)
        assert [box.count for box in column.boxes] == [count for count in row if count]
        floor = HEIGHT
        for box in column.boxes:
            assert float(box.height) == pytest.approx(box.count / top * HEIGHT, abs=ROUNDING)
            assert float(box.y) + float(box.height) == pytest.approx(floor, abs=3 * ROUNDING)
            floor = float(box.y)
        assert floor >= -ROUNDING


@given(counts)
def test_columns_share_the_width_and_nothing_leaves_the_frame(rows):
    chart = drawn(rows)
    for n, column in enumerate(chart.columns):
        assert float(column.x) == pytest.approx(n * WIDTH / len(rows), abs=ROUNDING)
        for box in column.boxes:
            assert float(column.x) <= float(box.x) + ROUNDING
            assert float(box.x) + float(box.width) <= float(column.x) + float(column.width) + ROUNDING
    assert math.fsum(float(column.width) for column in chart.columns) == pytest.approx(WIDTH, abs=1)


@given(counts)
def test_ticks_are_even_whole_numbers_that_reach_the_highest_column(rows):
    chart = drawn(rows)
    ticks = [tick.value for tick in chart.ticks]
    assert ticks[0] == 0
    assert ticks[-1] >= max(sum(row) for row in rows)
    assert 2 <= len(ticks) <= 6
    assert {after - before for before, after in pairwise(ticks)} == {ticks[1]}
    assert (chart.ticks[0].y, chart.ticks[-1].y) == ("180", "0")


def test_nothing_to_count_is_an_empty_frame():
    for chart in (bars([], [], width=WIDTH, height=HEIGHT), drawn([(0, 0, 0)] * 24)):
        assert not any(column.boxes for column in chart.columns)
        assert [tick.value for tick in chart.ticks] == [0, 1]


def test_a_series_has_a_count_for_each_label():
    with pytest.raises(ValueError, match="sent has 1 counts for 2 labels"):
        bars(["a", "b"], [("sent", [1])], width=WIDTH, height=HEIGHT)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=6))
def test_a_share_bar_is_divided_without_rest(sizes):
    boxes = share_bar([(f"kind-{n}", size) for n, size in enumerate(sizes)], width=100, height=8)
    sized = [size for size in sizes if math.isfinite(size) and size > 0]
    assert len(boxes) == len(sized)
    if sized:
        assert math.fsum(float(box.width) for box in boxes) == pytest.approx(100, abs=0.1)
        for box, size in zip(boxes, sized, strict=True):
            assert float(box.width) == pytest.approx(100 * size / sum(sized), abs=ROUNDING)


@given(st.lists(st.tuples(st.sampled_from(["taken", "missed"]), st.floats(allow_nan=True))), st.text())
def test_markup_is_well_formed_whatever_it_says(parts, label):
    label = "".join(letter for letter in label if letter >= " " and not 0xD800 <= ord(letter) <= 0xDFFF)
    label = label.replace("￾", "").replace("￿", "")
    markup = share_bar_svg(parts, label=label)
    svg = ElementTree.fromstring(markup)
    assert svg.get("role") == "img"
    assert svg[0].tag == "title"
    assert (svg[0].text or "") == label
    assert not any("style" in element.attrib for element in svg.iter())
    assert "nan" not in markup.replace(label, "")
    assert "inf" not in markup.replace(label, "")

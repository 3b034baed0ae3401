"""Whoever sees little contrast can read every kind's text, and tell its area from the ground, in light and dark."""

import re
from itertools import product
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

KINDS = ("taken", "skipped", "missed", "pending", "later", "late", "failed", "dead")
TOKEN = re.compile(r"--([a-z-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\);")


def tokens():
    css = Path(str(finders.find("console/console.css"))).read_text(encoding="utf-8")
    return {name: colours for name, *colours in TOKEN.findall(css)}


TOKENS = tokens()


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_is_21_to_1():
    assert contrast("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(("kind", "scheme"), list(product(KINDS, (0, 1))))
def test_the_text_of_every_kind_is_readable(kind, scheme):
    text = TOKENS[kind][scheme]
    for ground in (f"{kind}-bg", "body-bg", "darkened-bg"):
        assert contrast(text, TOKENS[ground][scheme]) >= 4.5


@pytest.mark.parametrize(("kind", "scheme"), list(product(set(KINDS) - {"later"}, (0, 1))))
def test_the_area_of_every_kind_stands_out(kind, scheme):
    """What comes later is what nothing is known of yet, and may be faint."""
    assert contrast(TOKENS[f"{kind}-fill"][scheme], TOKENS["body-bg"][scheme]) >= 3


@pytest.mark.parametrize("scheme", [0, 1])
def test_quiet_text_and_links_are_readable(scheme):
    grounds = ("body-bg", "darkened-bg", "selected-bg", "missed-bg", "late-bg")
    for text, ground in product(("body-fg", "body-quiet-color", "link-fg"), grounds):
        assert contrast(TOKENS[text][scheme], TOKENS[ground][scheme]) >= 4.5, (text, ground)
    assert contrast("#ffffff", TOKENS["button-bg"][scheme]) >= 4.5

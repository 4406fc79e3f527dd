"""The picture of a surface is sound SVG, says its units, and shows nothing that was not solved."""

import re
from datetime import date
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from domain.chain import CHAIN, GREEKS
from domain.picture import HEIGHT, HUES, WIDTH, surface_svg

TITLE = 'SPY & "friends", 10:00 <New York>'


def priced(days=(1, 30, 60), strikes=range(80, 121, 2)):
    """A smile around 20 % at each expiration, from forward 100."""
    rows = [
        dict.fromkeys([*CHAIN, *GREEKS], np.nan)
        | {
            "expiration": date.fromordinal(date(2026, 11, 20).toordinal() + int(np.ceil(day))),
            "strike": float(strike), "right": right, "years": day / 365, "forward": 100.0,
            "iv": 0.2 + np.log(strike / 100) ** 2 + day / 10_000, "delta": 0.3, "flag": None,
        }
        for day in days for strike in strikes for right in "CP"
    ]  # fmt: skip
    return pd.DataFrame(rows)


def parts(svg, tag):
    """Every element of a kind, with its attributes; the parse fails on SVG that is none."""
    return list(ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def test_a_picture_says_what_it_shows_with_units_and_escapes_what_it_is_given():
    words = [text.text for text in parts(surface_svg(priced(), TITLE), "text")]
    assert words[0] == TITLE
    for label in (
        "Strike against forward, ln(K / F), %",
        "Implied volatility, % a year",
        "Days to expiry",
        "At the money, % a year",
        "20 Dec 26, 30 d",
    ):
        assert label in words


def test_a_picture_needs_nothing_from_anywhere_and_no_background():
    svg = surface_svg(priced(), TITLE)
    assert len(svg) < 20_000
    assert re.findall("https?:", svg) == ["http:"]  # the name of the SVG language
    assert not re.search("<script|<image|<style|<rect|href", svg)


def test_every_point_lies_inside_the_picture():
    svg = surface_svg(priced(days=(0.02, 1, 500)), TITLE)
    points = [p for line in parts(svg, "polyline") for p in line.get("points").split()]
    assert len(points) > 60
    for across, height in (map(float, point.split(",")) for point in points):
        assert 0 <= across <= WIDTH
        assert 0 <= height <= HEIGHT
    assert "0.5 h" in svg


def test_at_most_eight_smiles_are_drawn_and_every_expiration_is_in_the_term_structure():
    svg = surface_svg(priced(days=range(1, 21)), TITLE)
    curves = [p for p in parts(svg, "polyline") if p.get("stroke") in HUES]
    assert len(curves) == 2 * len(HUES)  # the smile and its line in the legend
    assert len(parts(svg, "circle")) == 20


@pytest.mark.parametrize("change", [{"flag": "wide"}, {"iv": np.nan, "flag": "no_bid"}])
def test_a_flagged_quote_is_not_drawn(change):
    chain = priced()
    chain.loc[chain["strike"] == 110, list(change)] = list(change.values())
    clean = surface_svg(priced(strikes=[k for k in range(80, 121, 2) if k != 110]), TITLE)
    assert surface_svg(chain, TITLE) == clean


def test_options_in_the_money_are_not_drawn():
    chain = priced()
    inside = np.where(chain["right"] == "C", 1, -1) * (100 - chain["strike"]) > 0
    chain.loc[inside, "iv"] = 9.0
    assert surface_svg(chain, TITLE) == surface_svg(priced(), TITLE)


@pytest.mark.parametrize("chain", [priced(days=()), priced().assign(flag="no_bid")])
def test_a_chain_of_which_nothing_is_known_says_so(chain):
    frame = pd.DataFrame(chain, columns=[*CHAIN, *GREEKS])
    assert "no quote of this chain has a volatility" in surface_svg(frame, TITLE)


def test_one_expiration_on_one_side_of_the_forward_has_a_smile_and_no_term():
    svg = surface_svg(priced(days=(30,), strikes=range(102, 121, 2)), TITLE)
    assert "Implied volatility, % a year" in svg
    assert "At the money" not in svg


def test_flat_volatility_is_drawn_too():
    assert parts(surface_svg(priced(days=(30,)).assign(iv=0.2), TITLE), "polyline")

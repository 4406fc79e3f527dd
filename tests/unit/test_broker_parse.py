"""The broker's own volatility and Greeks are taken as sent, and its way of sending none as none."""

import numpy as np
import pytest

from broker.parse import BadBody, parse_chain
from domain.chain import BROKER

SYMBOL = "AAPL261218C00240000"
CONTRACT = {"symbol": SYMBOL, "underlying_symbol": "AAPL", "multiplier": "100"}
GREEKS = {"delta": -0.2411, "gamma": 0.0121, "rho": -0.1103, "theta": -0.1544, "vega": 0.5021}
ZEROS = dict.fromkeys(GREEKS, 0)


def model_of(**snapshot):
    chain = parse_chain([CONTRACT], {SYMBOL: snapshot})
    return {name.removeprefix("broker_"): chain[name].iloc[0] for name in BROKER}


def test_a_volatility_and_greeks_are_taken_as_they_were_sent():
    assert model_of(impliedVolatility=0.1832, greeks=GREEKS) == {"iv": 0.1832, **GREEKS}


@pytest.mark.parametrize(
    "snapshot",
    [
        {},
        {"greeks": None},
        {"greeks": {}},
        {"greeks": ZEROS},
        {"greeks": ZEROS, "impliedVolatility": 0},
        {"greeks": ZEROS, "impliedVolatility": None},
        {"impliedVolatility": None},
    ],
)
def test_zeros_without_a_volatility_as_on_the_day_of_expiry_are_no_greeks(snapshot):
    assert all(np.isnan(value) for value in model_of(**snapshot).values())


def test_a_greek_of_zero_beside_a_volatility_is_a_greek():
    assert model_of(impliedVolatility=0.5, greeks=ZEROS) == {"iv": 0.5, **ZEROS}


def test_greeks_without_a_volatility_are_kept_when_they_say_something():
    found = model_of(greeks={**ZEROS, "delta": 1})
    assert found["delta"] == 1
    assert np.isnan(found["iv"])


def test_what_is_missing_among_greeks_stays_unknown():
    found = model_of(impliedVolatility=0.2, greeks={"delta": 0.5})
    assert found["delta"] == 0.5
    assert np.isnan(found["vega"])


@pytest.mark.parametrize("greeks", ["none", 3, [1], {"delta": "much"}])
def test_greeks_that_are_none_do_not_parse(greeks):
    with pytest.raises(BadBody):
        model_of(impliedVolatility=0.2, greeks=greeks)


def test_quote_times_with_and_without_a_fraction_stand_in_one_chain():
    other = "AAPL261218C00245000"
    times = {SYMBOL: "2026-11-20T15:00:00Z", other: "2026-11-20T15:00:00.25Z"}
    quotes = {name: {"latestQuote": {"bp": 1, "ap": 2, "t": t}} for name, t in times.items()}
    chain = parse_chain([CONTRACT, {**CONTRACT, "symbol": other}], quotes)
    assert [moment.microsecond for moment in chain["quoted_at"]] == [0, 250_000]

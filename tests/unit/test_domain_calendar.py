"""The exchange's days against a table typed from the exchange's notices."""

import csv
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from domain import calendar, closing_times
from domain.calendar import CALENDAR_TIME, Clock, ClockKind

ANSWERS = Path(__file__).parents[1] / "answers"
NEW_YORK = ZoneInfo("America/New_York")


def answers(name):
    with (ANSWERS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def in_new_york(day, clock):
    return datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), NEW_YORK)


@pytest.mark.parametrize("row", answers("trading_days.csv"), ids=lambda row: row["day"])
def test_a_day_has_the_hours_that_the_exchange_announced(row):
    found = calendar.session(date.fromisoformat(row["day"]))
    if not row["open_new_york"]:
        assert found is None
        return
    assert found is not None
    assert found.day == date.fromisoformat(row["day"])
    assert found.open == in_new_york(row["day"], row["open_new_york"])
    assert found.close == in_new_york(row["day"], row["close_new_york"])
    assert found.is_half_day == (row["close_new_york"] == "13:00")
    assert found.open.utcoffset() == found.close.utcoffset() == timedelta(0)


@pytest.mark.parametrize("row", answers("trading_days.csv"), ids=lambda row: row["day"])
def test_a_day_has_as_many_slots_as_its_hours_hold(row):
    assert len(calendar.slots(date.fromisoformat(row["day"]))) == int(row["slots"])


@pytest.mark.parametrize("row", answers("slots.csv"), ids=lambda row: row["day"])
def test_slots_stand_at_the_same_local_times_on_both_sides_of_a_clock_change(row):
    wanted = [in_new_york(row["day"], clock) for clock in row["slots_new_york"].split()]
    found = calendar.slots(date.fromisoformat(row["day"]))
    assert list(found) == wanted
    assert all(slot.utcoffset() == timedelta(0) for slot in found)


def test_the_same_local_slot_moves_an_hour_in_utc_when_the_clocks_change():
    winter, summer = calendar.slots(date(2026, 3, 6))[0], calendar.slots(date(2026, 3, 9))[0]
    assert (winter.hour, summer.hour) == (15, 14)
    summer, winter = calendar.slots(date(2026, 10, 30))[0], calendar.slots(date(2026, 11, 2))[0]
    assert (summer.hour, winter.hour) == (14, 15)


def test_every_slot_of_twenty_years_lies_inside_its_session_and_they_never_repeat():
    day, previous = date(2006, 1, 1), None
    while day < date(2026, 12, 31):
        hours = calendar.session(day)
        for slot in calendar.slots(day):
            assert hours.open < slot < hours.close
            assert previous is None or slot > previous
            previous = slot
        day += timedelta(days=1)


@pytest.mark.parametrize("row", answers("last_trading_days.csv"), ids=lambda r: r["expiration"])
def test_a_contract_trades_last_on_the_session_before_its_expiration(row):
    expiration = date.fromisoformat(row["expiration"])
    assert calendar.last_trading_day(expiration) == date.fromisoformat(row["last_trading_day"])
    assert calendar.expires_at(expiration) == datetime.fromisoformat(row["expires_utc"])


@pytest.mark.parametrize(
    "row", answers("option_closes.csv"), ids=lambda r: f"{r['root']} {r['expiration']}"
)
def test_an_option_expires_when_its_own_product_does(row):
    expiration, root = date.fromisoformat(row["expiration"]), row["root"]
    last = date.fromisoformat(row["last_trading_day"])
    expires = datetime.fromisoformat(row["expires_new_york"]).replace(tzinfo=NEW_YORK)
    assert calendar.last_trading_day(expiration, root) == last
    assert calendar.expires_at(expiration, root) == expires
    assert calendar.expires_at(expiration, root).utcoffset() == timedelta(0)
    assert calendar.days_to_expiry(last, expiration, root) == 0


def test_no_option_both_closes_late_and_settles_in_the_morning():
    assert not closing_times.LATE & closing_times.AM_SETTLED


def test_days_to_expiry_count_to_the_friday_of_a_saturday_expiration():
    saturday = date(2014, 6, 21)
    assert calendar.days_to_expiry(date(2014, 6, 6), saturday) == 14
    assert calendar.days_to_expiry(date(2014, 6, 20), saturday) == 0
    assert calendar.days_to_expiry(date(2014, 6, 21), saturday) == -1


def test_years_to_expiry_count_minutes_on_the_last_day():
    expirations = pd.Series([date(2015, 12, 24), date(2015, 12, 31), date(2015, 12, 24)])
    now = datetime(2015, 12, 24, 17, 59, tzinfo=UTC)  # a minute before the early close
    found = calendar.years_to_expiry(now, expirations)
    minute = 1 / (365 * 24 * 60)
    assert found == pytest.approx([minute, (7 * 24 * 60 + 181) * minute, minute], rel=1e-12)
    assert calendar.years_to_expiry(now + timedelta(minutes=1), expirations)[0] == 0
    assert calendar.years_to_expiry(now + timedelta(minutes=2), expirations)[0] < 0


def test_a_year_is_365_days_of_1440_minutes_across_a_clock_change():
    expires = datetime(2026, 3, 20, 20, tzinfo=UTC)
    now = datetime(2026, 3, 6, 21, tzinfo=UTC)  # the close two weeks before, on winter time
    found = calendar.years_to_expiry(now, pd.Series([date(2026, 3, 20)]))
    assert found[0] == pytest.approx((expires - now).total_seconds() / (365 * 86400), rel=1e-12)
    assert (14 - found[0] * 365) * 24 == pytest.approx(1)  # the hour that was lost


SESSIONS_ONLY = Clock(kind=ClockKind.TRADING)
SESSIONS_MOSTLY = Clock(kind=ClockKind.TRADING, closed_weight=0.06)
EVERY_MINUTE = Clock(kind=ClockKind.TRADING, closed_weight=1.0)
CLOCKS = [CALENDAR_TIME, SESSIONS_ONLY, SESSIONS_MOSTLY, EVERY_MINUTE]
#: A root and expiration of each kind, the half day and both clock changes among them.
OPTIONS = [
    ("AAPL", date(2026, 11, 20)),
    ("SPY", date(2026, 11, 20)),
    ("SPXW", date(2026, 11, 20)),
    ("SPX", date(2026, 11, 20)),
    ("AAPL", date(2026, 11, 27)),
    ("SPY", date(2026, 11, 27)),
    ("SPY", date(2026, 3, 9)),
    ("SPY", date(2026, 11, 2)),
    ("SPY", date(2014, 4, 19)),
    ("AAPL", date(2014, 6, 21)),
]


def years(now, root, expiration, clock=CALENDAR_TIME):
    found = calendar.years_to_expiry(now, pd.Series([expiration]), pd.Series([root]), clock)
    assert found.shape == (1,)
    assert found.dtype == np.float64
    return float(found[0])


@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
@pytest.mark.parametrize(("root", "expiration"), OPTIONS)
def test_the_last_day_falls_minute_by_minute_and_reaches_zero_at_the_end_alone(
    root, expiration, clock
):
    end = calendar.expires_at(expiration, root)
    start = calendar.session(calendar.last_trading_day(expiration, root)).open
    # Without a weight the night before a morning settlement holds no time, as nothing trades.
    last_trade = calendar.session(calendar.last_trading_day(expiration, root)).close
    sleeps = closing_times.is_am_settled(root) and clock == SESSIONS_ONLY
    before = None
    for k in range(int((end - start).total_seconds() / 60) + 1):
        now = start + timedelta(minutes=k)
        left = years(now, root, expiration, clock)
        assert left >= 0
        assert (left == 0) == (now == end or (sleeps and now >= last_trade))
        assert before is None or left < before or (sleeps and now > last_trade)
        before = left
    assert years(end - timedelta(seconds=1), root, expiration, clock) > 0 or sleeps
    for late in (timedelta(seconds=1), timedelta(hours=3), timedelta(days=30)):
        assert years(end + late, root, expiration, clock) <= 0


@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
@pytest.mark.parametrize(("root", "expiration"), OPTIONS)
def test_time_never_runs_back_over_the_weeks_before_an_expiry(root, expiration, clock):
    end = calendar.expires_at(expiration, root)
    hours = [years(end - timedelta(hours=k), root, expiration, clock) for k in range(1_000)]
    assert all(sooner >= later for later, sooner in pairwise(hours))
    if clock != SESSIONS_ONLY:
        assert all(sooner > later for later, sooner in pairwise(hours))


@pytest.mark.parametrize("clock", CLOCKS, ids=repr)
def test_an_expiry_further_off_is_never_nearer(clock):
    now = datetime(2026, 2, 27, 16, tzinfo=UTC)
    days = pd.Series([date(2026, 2, 27) + timedelta(days=k) for k in range(1_000)])
    found = calendar.years_to_expiry(now, days, pd.Series(["SPY"] * 1_000), clock)
    assert (np.diff(found) >= 0).all()
    assert 2.6 < found[-1] < 2.8  # a year of any clock is about a year


def test_the_late_quarter_is_in_calendar_time_a_quarter_of_an_hour():
    now, friday = datetime(2026, 11, 20, 21, tzinfo=UTC), date(2026, 11, 20)
    assert years(now, "SPY", friday) == pytest.approx(15 / 525_600, rel=1e-12)
    assert years(now, "AAPL", friday) == years(now, "SPXW", friday) == 0


def test_trading_time_counts_the_minutes_of_sessions():
    now = datetime(2026, 11, 24, 20, tzinfo=UTC)  # Tuesday 15:00 before Thanksgiving
    year = 252 * 390
    for day, minutes in [(24, 60), (25, 60 + 390), (27, 60 + 390 + 210), (30, 60 + 780 + 210)]:
        found = years(now, "AAPL", date(2026, 11, day), SESSIONS_ONLY)
        assert found == pytest.approx(minutes / year, rel=1e-12)
    late = years(now, "SPY", date(2026, 11, 27), SESSIONS_ONLY)
    assert late == pytest.approx((75 + 405 + 225) / (252 * 405), rel=1e-12)


@pytest.mark.parametrize("day", [date(2026, 3, 9), date(2026, 11, 2)])
def test_trading_time_does_not_see_the_clocks_change_and_calendar_time_does(day):
    friday = calendar.session(day - timedelta(days=3))
    now = friday.open + timedelta(hours=5)
    assert years(now, "AAPL", day, SESSIONS_ONLY) * 252 * 390 == pytest.approx(90 + 390)
    hour = 3 * 24 + 1.5 - years(now, "AAPL", day) * 365 * 24
    assert hour == pytest.approx(1 if day.month == 3 else -1)


def test_a_weight_counts_the_closed_minutes_of_night_and_weekend():
    now = datetime(2026, 11, 20, 21, tzinfo=UTC)  # Friday's close
    monday, weight = date(2026, 11, 23), 0.06
    minutes = 390 + weight * (3 * 24 * 60 - 390)
    year = 252 * 390 + weight * (365 * 24 * 60 - 252 * 390)
    assert years(now, "AAPL", monday, SESSIONS_MOSTLY) == pytest.approx(minutes / year, rel=1e-12)


@pytest.mark.parametrize(("root", "expiration"), OPTIONS)
def test_with_the_full_weight_trading_time_is_calendar_time(root, expiration):
    for hours in (0.01, 1, 30, 1_000, 9_000):
        now = calendar.expires_at(expiration, root) - timedelta(hours=hours)
        both = years(now, root, expiration, EVERY_MINUTE), years(now, root, expiration)
        assert both[0] == pytest.approx(both[1], rel=1e-9)


@pytest.mark.parametrize("weight", [-0.01, 1.01, float("nan")])
def test_a_weight_outside_nothing_to_one_is_refused(weight):
    with pytest.raises(ValueError, match="closed_weight"):
        Clock(kind=ClockKind.TRADING, closed_weight=weight)


def test_a_volatility_restated_by_a_clock_keeps_its_variance():
    left, clock_left = np.array([0.5, 0.01, 0.0, 0.2]), np.array([0.5, 0.02, 0.1, -1.0])
    scale = calendar.volatility_scale(left, clock_left)
    assert scale[0] == 1
    assert (0.3 * scale[1]) ** 2 * clock_left[1] == pytest.approx(0.3**2 * left[1], rel=1e-15)
    assert np.isnan(scale[2:]).all()


def test_each_row_has_its_own_root_and_expiration_in_its_own_place():
    now = datetime(2026, 11, 2, 15, tzinfo=UTC)
    roots = pd.Series([root for root, _ in OPTIONS] * 2, index=range(5, 25))
    days = pd.Series([day for _, day in OPTIONS] * 2, index=range(7, 27))
    found = calendar.years_to_expiry(now, days, roots, SESSIONS_MOSTLY)
    wanted = [years(now, root, day, SESSIONS_MOSTLY) for root, day in OPTIONS] * 2
    assert found.tolist() == wanted


def test_no_expirations_are_no_years():
    now = datetime(2026, 1, 5, tzinfo=UTC)
    for clock in CLOCKS:
        assert calendar.years_to_expiry(now, pd.Series([]), clock=clock).shape == (0,)


@pytest.mark.parametrize("day", [date(2004, 12, 31), date(2036, 1, 1)])
def test_outside_the_calendar_no_answer_is_made_up(day):
    for ask in (calendar.session, calendar.slots, calendar.last_trading_day, calendar.expires_at):
        with pytest.raises(calendar.OutsideCalendar, match=str(day)):
            ask(day)
    with pytest.raises(calendar.OutsideCalendar):
        calendar.next_session(date(2035, 12, 31))
    with pytest.raises(calendar.OutsideCalendar):
        years(datetime(2004, 6, 1, tzinfo=UTC), "SPY", date(2005, 6, 17), SESSIONS_ONLY)


def test_the_first_and_last_days_are_inside_the_calendar():
    assert calendar.session(date(2005, 1, 3)) is not None
    assert calendar.session(date(2035, 12, 31)) is not None


def test_the_open_belongs_to_a_session_and_the_close_does_not():
    hours = calendar.session(date(2026, 11, 27))
    instant = timedelta(microseconds=1)
    assert calendar.open_session(hours.open) == hours
    assert calendar.open_session(hours.close - instant) == hours
    assert calendar.open_session(hours.open - instant) is None
    assert calendar.open_session(hours.close) is None
    assert calendar.open_session(datetime(2026, 11, 28, 16, tzinfo=UTC)) is None


def test_the_trading_day_is_new_yorks_and_not_utcs():
    assert calendar.trading_day(datetime(2026, 11, 28, 3, tzinfo=UTC)) == date(2026, 11, 27)
    assert calendar.trading_day(datetime(2026, 7, 2, 4, tzinfo=UTC)) == date(2026, 7, 2)
    assert calendar.trading_day(datetime(2026, 7, 2, 3, 59, tzinfo=UTC)) == date(2026, 7, 1)


def test_the_next_session_skips_holidays_weekends_and_the_unplanned_closure():
    assert calendar.next_session(date(2026, 11, 25)).day == date(2026, 11, 27)
    assert calendar.next_session(date(2026, 11, 27)).day == date(2026, 11, 30)
    assert calendar.next_session(date(2025, 1, 8)).day == date(2025, 1, 10)


def test_a_moment_without_a_session_is_its_own_open_and_close():
    holiday = datetime(2026, 12, 25, 15, tzinfo=UTC)
    assert calendar.open_of(holiday) == calendar.close_of(holiday) == holiday
    half = datetime(2026, 12, 24, 20, tzinfo=UTC)  # after the early close of the same day
    assert calendar.close_of(half) == datetime(2026, 12, 24, 18, tzinfo=UTC)
    assert calendar.open_of(half) == datetime(2026, 12, 24, 14, 30, tzinfo=UTC)

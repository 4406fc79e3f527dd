"""The exchange's days against a table typed from the exchange's notices."""

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from domain import calendar

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


def test_no_expirations_are_no_years():
    assert calendar.years_to_expiry(datetime(2026, 1, 5, tzinfo=UTC), pd.Series([])).shape == (0,)


@pytest.mark.parametrize("day", [date(2004, 12, 31), date(2036, 1, 1)])
def test_outside_the_calendar_no_answer_is_made_up(day):
    for ask in (calendar.session, calendar.slots, calendar.last_trading_day, calendar.expires_at):
        with pytest.raises(calendar.OutsideCalendar, match=str(day)):
            ask(day)
    with pytest.raises(calendar.OutsideCalendar):
        calendar.next_session(date(2035, 12, 31))


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

"""What an account must hold by its beginning, its fills and its activities, to the cent."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from domain.audit import CASH, Discrepancy, Holdings, discrepancies, expected
from domain.orders import Side
from domain.records import Activity, Fill, Position

PUT, CALL = "AAPL261218P00215000", "AAPL261218C00240000"
NOTHING = Holdings(cash=Decimal(100_000), positions={})


def holding(cash=100_000, **positions):
    return Holdings(
        cash=Decimal(str(cash)), positions={name: Decimal(n) for name, n in positions.items()}
    )


def fill(side, quantity, price, symbol=PUT, status="executed"):
    return Fill(
        id=f"{symbol}{side}{price}",
        order_id=UUID(int=1),
        symbol=symbol,
        side=Side(side),
        quantity=Decimal(quantity),
        price=Decimal(price),
        filled_at=datetime(2026, 11, 20, 16, tzinfo=UTC),
        status=status,
    )


def activity(kind, symbol=None, quantity=None, net="0", status="executed"):
    return Activity(
        activity_type=kind,
        id="1",
        day=date(2026, 11, 20),
        symbol=symbol,
        quantity=None if quantity is None else Decimal(quantity),
        price=None,
        net_amount=Decimal(net),
        status=status,
        description=None,
    )


def test_without_a_movement_an_account_holds_what_it_began_with():
    began = holding(5, AAPL=7)
    assert expected(began, [], []) == began


def test_contracts_cost_a_hundred_times_their_price_and_shares_once():
    found = expected(NOTHING, [fill("sell", 3, "2.15"), fill("buy", 10, "230.01", "AAPL")], [])
    assert found == holding(100_000 + 645 - Decimal("2300.10"), **{PUT: -3, "AAPL": 10})


def test_a_round_trip_leaves_no_position_and_what_it_earned():
    found = expected(NOTHING, [fill("sell", 3, "2.15"), fill("buy", 3, "1.00")], [])
    assert found == holding(100_345)


def test_a_trade_that_was_taken_back_never_was_and_a_corrected_one_counts_at_its_new_price():
    busted = [fill("sell", 3, "2.15", status="canceled"), fill("sell", 1, "2.15")]
    assert expected(NOTHING, busted, []) == holding(100_215, **{PUT: -1})
    corrected = [fill("sell", 3, "2.16", status="correct")]
    assert expected(NOTHING, corrected, []) == holding(100_648, **{PUT: -3})


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("held", [4, -4])
def test_a_contract_that_expires_ends_what_is_held_whatever_the_sign_of_its_row(held, sign):
    """Of short contracts the broker has sent both."""
    found = expected(holding(**{PUT: held}), [], [activity("OPEXP", PUT, sign * 4)])
    assert found == NOTHING


def test_an_expiry_ends_no_more_than_is_held_and_leaves_what_it_does_not_name():
    part = expected(holding(**{PUT: -4, CALL: 2}), [], [activity("OPEXP", PUT, 3)])
    assert part == holding(**{PUT: -1, CALL: 2})
    assert expected(holding(**{PUT: -2}), [], [activity("OPEXP", PUT, 5)]) == NOTHING


def test_what_was_assigned_of_an_expiring_contract_is_counted_before_the_rest_expires():
    """In whatever order the rows are listed."""
    rows = [
        activity("OPEXP", PUT, 3),
        activity("OPASN", PUT, 1),
        activity("OPTRD", "AAPL", 100, "-21500"),
    ]
    for listed in (rows, rows[::-1]):
        found = expected(holding(**{PUT: -4}), [], listed)
        assert found == holding(78_500, AAPL=100)


def test_an_assignment_ends_the_contract_and_its_twin_brings_the_shares_and_takes_the_cash():
    rows = [activity("OPASN", PUT, 2), activity("OPTRD", "AAPL", 200, "-43000")]
    assert expected(holding(**{PUT: -2}), [], rows) == holding(57_000, AAPL=200)
    called = [activity("OPASN", CALL, 1), activity("OPTRD", "AAPL", -100, "24000")]
    assert expected(holding(**{CALL: -1, "AAPL": 100}), [], called) == holding(124_000)


def test_an_exercise_gives_up_the_contract_for_the_shares():
    rows = [activity("OPEXC", CALL, -1), activity("OPTRD", "AAPL", 100, "-24000")]
    assert expected(holding(**{CALL: 1}), [], rows) == holding(76_000, AAPL=100)


@pytest.mark.parametrize("kind", ["FEE", "DIV", "INT", "CSD", "a kind of tomorrow"])
def test_money_moves_by_every_activity_and_contracts_only_by_those_that_are_known_to(kind):
    found = expected(holding(**{PUT: -2}), [], [activity(kind, PUT, 2, "-0.13")])
    assert found == holding(Decimal("99999.87"), **{PUT: -2})


def test_a_split_changes_contracts_into_others():
    adjusted = "AAPL1261218P00107500"
    rows = [activity("OPCA", PUT, 2), activity("OPCA", adjusted, -4)]
    assert expected(holding(**{PUT: -2}), [], rows) == holding(**{adjusted: -4})
    assert expected(holding(AAPL=10), [], [activity("SPLIT", "AAPL", 10)]) == holding(AAPL=20)


def test_a_position_booked_by_hand_is_explained_by_its_journal():
    row = activity("JNLS", CALL, 2, "-630")
    assert expected(NOTHING, [], [row]) == holding(99_370, **{CALL: 2})
    assert expected(NOTHING, [], [replace(row, status="canceled")]) == NOTHING


# Against what the broker says


def position(symbol, quantity):
    return Position(
        symbol=symbol,
        quantity=Decimal(quantity),
        average_entry_price=Decimal(1),
        current_price=None,
        market_value=None,
    )


def test_books_that_agree_have_no_discrepancy():
    should = holding(**{PUT: -2})
    assert discrepancies(should, Decimal("100000.00"), [position(PUT, -2)]) == []


@pytest.mark.parametrize(
    ("should", "held", "found"),
    [
        ({}, {PUT: 1}, (PUT, 0, 1)),  # nobody bought it
        ({PUT: -2}, {}, (PUT, -2, 0)),  # it is gone
        ({PUT: -2}, {PUT: 2}, (PUT, -2, 2)),
        ({"AAPL": 100}, {"AAPL": 99}, ("AAPL", 100, 99)),
    ],
)
def test_a_position_that_nothing_explains_is_named_with_what_it_should_be(should, held, found):
    subject, wanted, there = found
    assert discrepancies(
        holding(**should), Decimal(100_000), [position(*one) for one in held.items()]
    ) == [Discrepancy(subject=subject, expected=Decimal(wanted), found=Decimal(there))]


@pytest.mark.parametrize("cash", ["99999.99", "100000.01"])
def test_a_cent_that_nothing_explains_is_named(cash):
    assert discrepancies(NOTHING, Decimal(cash), []) == [
        Discrepancy(subject=CASH, expected=Decimal(100_000), found=Decimal(cash))
    ]


def test_less_than_a_cent_is_rounding():
    assert discrepancies(NOTHING, Decimal("100000.004"), []) == []


def test_every_discrepancy_is_named_once_positions_first():
    found = discrepancies(holding(**{PUT: -2}), Decimal(1), [position(CALL, 1)])
    assert [each.subject for each in found] == [CALL, PUT, CASH]

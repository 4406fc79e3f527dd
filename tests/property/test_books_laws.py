"""However the broker's lists come, what is news is written once and never takes anything back."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.books import Books, news
from domain.orders import Side
from domain.records import Activity, Fill, Order, Position

NOON = datetime(2026, 11, 20, 17, tzinfo=UTC)
few, moments = st.integers(0, 3), st.integers(0, 4).map(lambda s: NOON + timedelta(seconds=s))


def order(key, filled, at):
    return Order(
        id=UUID(int=key),
        client_order_id=f"order-{key}",
        parent_id=None,
        order_class="simple",
        symbol="SPY",
        side=Side.BUY,
        position_intent=None,
        quantity=Decimal(9),
        filled_quantity=Decimal(filled),
        filled_average_price=None,
        limit_price=None,
        status="new",
        submitted_at=NOON,
        updated_at=at,
        filled_at=None,
        legs=(),
    )


def fill(key, price):
    return Fill(
        id=f"fill-{key}",
        order_id=UUID(int=key),
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(price),
        filled_at=NOON,
        status="executed",
    )


def activity(kind, key, quantity):
    return Activity(
        activity_type=kind,
        id=f"row-{key}",
        day=date(2026, 11, 20),
        symbol="SPY",
        quantity=Decimal(quantity),
        price=None,
        net_amount=Decimal(0),
        status="executed",
        description=None,
    )


def position(key, quantity):
    return Position(
        symbol=f"S{key}",
        quantity=Decimal(quantity),
        average_entry_price=Decimal(1),
        current_price=None,
        market_value=None,
    )


def unique(rows, key):
    return st.lists(rows, max_size=4, unique_by=key).map(tuple)


books = st.builds(
    Books,
    orders=unique(st.builds(order, few, few, moments), lambda row: row.id),
    fills=unique(st.builds(fill, few, few), lambda row: row.id),
    activities=unique(
        st.builds(activity, st.sampled_from(["OPEXC", "OPTRD"]), few, few),
        lambda row: (row.activity_type, row.id),
    ),
    positions=unique(st.builds(position, few, few), lambda row: row.symbol),
)


def written(ours, found):
    """Our books once the news stands in them."""
    return Books(
        orders=tuple(({row.id: row for row in (*ours.orders, *found.orders)}).values()),
        fills=tuple(({row.id: row for row in (*ours.fills, *found.fills)}).values()),
        activities=tuple(
            {(x.activity_type, x.id): x for x in (*ours.activities, *found.activities)}.values()
        ),
        positions=tuple(
            row
            for row in {x.symbol: x for x in (*ours.positions, *found.positions)}.values()
            if row.symbol not in found.gone
        ),
    )


def is_nothing(found):
    return not any((found.orders, found.fills, found.activities, found.positions, found.gone))


@given(books, books)
def test_what_was_written_is_no_news_again(ours, theirs):
    after = written(ours, news(ours, theirs))
    assert is_nothing(news(after, theirs))
    assert set(after.fills) >= set(theirs.fills)
    assert set(after.activities) >= set(theirs.activities)
    assert set(after.positions) == set(theirs.positions)


@given(books, books)
def test_an_order_never_goes_back_to_an_older_reading(ours, theirs):
    after = {row.id: row for row in written(ours, news(ours, theirs)).orders}
    for row in (*ours.orders, *theirs.orders):
        assert after[row.id].updated_at >= row.updated_at
    for row in theirs.orders:
        newer = [known for known in ours.orders if known.id == row.id]
        if all(known.updated_at <= row.updated_at for known in newer):
            assert after[row.id] == row


@given(books, books)
def test_what_a_list_leaves_out_stays_but_for_positions(ours, theirs):
    after = written(ours, news(ours, theirs))
    assert {row.id for row in after.fills} >= {row.id for row in ours.fills}
    assert {row.id for row in after.orders} >= {row.id for row in ours.orders}
    silent = replace(theirs, positions=None)
    assert not news(ours, silent).gone
    assert not news(ours, silent).positions


@given(books)
def test_equal_books_have_no_news(ours):
    assert is_nothing(news(ours, ours))

"""The broker's books and chains go into Postgres whole, once, and come back as they were."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import UniqueViolation
from sqlalchemy import text

from db import books, candidates, cycles, snapshots
from db.session import engine, transaction
from domain.books import Books
from domain.candidates import Candidate
from domain.chain import BROKER, CHAIN, CONTRACT, FORWARD, GREEKS
from domain.cycle import Cycle, CycleKind
from domain.orders import Purpose, Side
from domain.records import Account, Activity, Fill, Order, Position
from domain.risk import Check, Verdict

SLOT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def a_cycle(url):
    with transaction(url) as session:
        account_id = cycles.ensure_account(session, "A1", "paper", SLOT)
        opened = cycles.open_cycle(
            session, (account_id, "A1"), CycleKind.TRADING, SLOT, SLOT, (None, "1")
        )
    assert isinstance(opened, Cycle)
    return opened


@pytest.fixture
def cycle(database_url):
    return a_cycle(database_url)


def an_order(number, status="new", legs=(), parent=None):
    return Order(
        id=UUID(int=number),
        client_order_id=f"id-{number}",
        parent_id=parent,
        order_class="mleg" if legs else "simple",
        symbol=None if legs else "AAPL261218C00240000",
        side=None if legs else Side.SELL,
        position_intent=None if legs else "sell_to_open",
        quantity=Decimal(2),
        filled_quantity=Decimal(0),
        filled_average_price=None,
        limit_price=Decimal("-1.05") if legs else None,
        status=status,
        submitted_at=SLOT,
        updated_at=SLOT,
        filled_at=None,
        legs=legs,
    )


PARENT = an_order(1, legs=(an_order(2, parent=UUID(int=1)), an_order(3, parent=UUID(int=1))))
FILLED = replace(
    PARENT,
    status="filled",
    filled_quantity=Decimal(2),
    filled_average_price=Decimal("-1.07"),
    updated_at=SLOT + timedelta(seconds=1),
    filled_at=SLOT + timedelta(seconds=1),
)
FILL = Fill(
    id="f1",
    order_id=UUID(int=2),
    symbol="AAPL261218C00240000",
    side=Side.SELL,
    quantity=Decimal(2),
    price=Decimal("1.05"),
    filled_at=SLOT,
    status="executed",
)
ACTIVITY = Activity(
    activity_type="OPEXC",
    id="a1",
    day=date(2026, 12, 18),
    symbol="AAPL261218C00240000",
    quantity=Decimal(-2),
    price=None,
    net_amount=Decimal(0),
    status="executed",
    description=None,
)
HELD = Position(
    symbol="AAPL261218C00240000",
    quantity=Decimal(-2),
    average_entry_price=Decimal("1.05"),
    current_price=None,
    market_value=None,
)
MONEY = Account(
    number="A1",
    cash=Decimal("100000.10"),
    equity=Decimal("99999.99"),
    last_equity=Decimal(100000),
    options_buying_power=Decimal(90000),
    initial_margin=Decimal(0),
    maintenance_margin=Decimal(0),
    options_level=3,
    is_blocked=False,
)


def save(session, cycle, **lists):
    whole = {name: tuple(found) for name, found in lists.items()}
    return books.save(session, cycle, Books(**whole), SLOT)


#: Each save, what it is given, what the same looks like corrected, rows the first time.
SAVES = {
    "orders": (lambda s, c, v: save(s, c, orders=v), [PARENT], [FILLED], 3),
    "fills": (
        lambda s, c, v: save(s, c, fills=v),
        [FILL, replace(FILL, id="f2")],
        [FILL, replace(FILL, id="f2", price=Decimal("1.04"))],
        2,
    ),
    "activities": (
        lambda s, c, v: save(s, c, activities=v),
        [ACTIVITY, replace(ACTIVITY, activity_type="OPTRD")],
        [replace(ACTIVITY, status="canceled"), replace(ACTIVITY, activity_type="OPTRD")],
        2,
    ),
    "positions": (
        lambda s, c, v: save(s, c, positions=v),
        [HELD, replace(HELD, symbol="AAPL")],
        [HELD, replace(HELD, symbol="AAPL", current_price=Decimal(230))],
        2,
    ),
    "account_marks": (
        lambda s, c, v: books.save_account(s, c, v, SLOT),
        MONEY,
        replace(MONEY, cash=Decimal("100000.11")),
        1,
    ),
}


def rows(url, table):
    with engine(url).connect() as connection:
        return sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}"))))


@pytest.mark.parametrize("table", SAVES)
def test_what_is_saved_a_second_time_writes_nothing_and_what_is_corrected_one_row(
    table, database_url, cycle
):
    save, first, corrected, count = SAVES[table]
    wrote = []
    stored = []
    for value in (first, first, corrected, corrected):
        with transaction(database_url) as session:
            wrote.append(save(session, cycle, value))
        stored.append(rows(database_url, table))
    assert wrote == [count, 0, 1, 0]
    assert [len(found) for found in stored] == [count] * 4
    assert stored[0] == stored[1] != stored[2] == stored[3]


def test_a_reading_of_an_order_that_is_older_than_what_is_known_changes_nothing(
    database_url, cycle
):
    written = []
    for value in (FILLED, PARENT, FILLED):
        with transaction(database_url) as session:
            written.append(save(session, cycle, orders=[value]))
    assert written == [3, 0, 0]
    corrected = replace(FILLED, filled_quantity=Decimal(1))  # of the same moment
    with transaction(database_url) as session:
        assert save(session, cycle, orders=[corrected]) == 1


@pytest.mark.parametrize("table", ["orders", "fills", "activities", "positions"])
def test_an_empty_list_writes_nothing_but_that_no_position_is_held(table, database_url, cycle):
    save, first, _, _ = SAVES[table]
    with transaction(database_url) as session:
        assert save(session, cycle, []) == 0
        save(session, cycle, first)
    before = rows(database_url, table)
    with transaction(database_url) as session:
        assert save(session, cycle, []) == (2 if table == "positions" else 0)
    assert rows(database_url, table) == ([] if table == "positions" else before)


def test_what_is_not_held_any_more_is_gone_and_of_another_account_stays(database_url, cycle):
    with transaction(database_url) as session:
        other = cycles.ensure_account(session, "A2", "paper", SLOT)
        theirs = replace(cycle, account_id=other)
        save(session, theirs, positions=[HELD])
        save(session, cycle, positions=[HELD, replace(HELD, symbol="AAPL")])
        save(session, cycle, positions=[replace(HELD, symbol="AAPL")])
    with transaction(database_url) as session:
        held = books.read_positions(session, cycle.account_id)
        assert [p.symbol for p in held] == ["AAPL"]
        assert books.read_positions(session, other) == [HELD]


def test_books_come_back_as_they_were_saved(database_url, cycle):
    with transaction(database_url) as session:
        save(session, cycle, positions=[HELD])
        save(session, cycle, activities=[ACTIVITY])
    with transaction(database_url) as session:
        assert books.read_positions(session, cycle.account_id) == [HELD]
        assert books.read_activities(session, cycle.account_id) == [ACTIVITY]


def test_a_cycle_replaces_its_candidates_with_their_legs_and_verdicts(database_url, cycle):
    one = Candidate(
        strategy="iron_condor",
        underlying="AAPL",
        purpose=Purpose.OPEN,
        structure_id=None,
        expiration=date(2026, 12, 18),
        legs=(),
        width=None,
        price_natural=None,
        price_mid=None,
        is_accepted=True,
        rule=None,
        value=None,
        threshold=None,
    )
    for _ in range(2):
        with transaction(database_url) as session:
            candidates.replace_candidates(session, cycle, [one])
            ((candidate_id, _),) = candidates.read_accepted(session, cycle)
            found = (
                Verdict(check=Check.HALT, value=0.0, threshold=0.0),
                Verdict(check=Check.PORTFOLIO_DELTA, value=float("nan"), threshold=1.0),
                Verdict(check=Check.CONCENTRATION, value=float("inf"), threshold=1.0),
            )
            candidates.save_verdicts(session, candidate_id, found)
    with engine(database_url).connect() as connection:
        stored = connection.execute(
            text("SELECT check_name, value, passed FROM verdicts ORDER BY check_name")
        )
        assert [tuple(row) for row in stored] == [
            ("concentration", None, False),
            ("halt", 0.0, True),
            ("portfolio_delta", None, False),
        ]
        assert connection.execute(text("SELECT count(*) FROM candidates")).scalar_one() == 1


# Chains

price = st.none() | st.integers(1, 10**9).map(lambda ticks: ticks / 10_000)
size = st.none() | st.integers(0, 2**31 - 1)
moment = st.none() | st.timedeltas(timedelta(days=-7_000), timedelta(days=3_000)).map(
    lambda ago: SLOT + ago
)
contract = st.fixed_dictionaries(
    {
        "expiration": st.dates(date(2005, 1, 3), date(2035, 12, 31)),
        "strike": st.integers(1, 99_999_999).map(lambda mills: mills / 1000),
        "right": st.sampled_from("CP"),
        "style": st.sampled_from(["american", "european"]),
        "multiplier": st.sampled_from([10.0, 100.0]),
        "open_interest": size,
        "bid": price,
        "ask": price,
        "bid_size": size,
        "ask_size": size,
        "quoted_at": moment,
        **{name: st.none() | st.floats(0, 100) for name in BROKER},
    }
)


def as_frame(contracts):
    """A chain as the pipeline has it, made here by hand."""
    frame = pd.DataFrame(
        [
            {"symbol": f'X{n}\t\\N\n"{n}', "underlying": "XYZ", **contract}
            for n, contract in enumerate(contracts)
        ],
        columns=["symbol", "underlying", *CONTRACT_COLUMNS],
    )
    numbers = ["strike", "multiplier", "open_interest", "bid", "ask", "bid_size", "ask_size"]
    frame = frame.astype(dict.fromkeys([*numbers, *BROKER], "float64"))
    times = pd.to_datetime(frame["quoted_at"], utc=True).astype("datetime64[ns, UTC]")
    return frame.assign(quoted_at=times).astype(
        dict.fromkeys(["symbol", "underlying", "expiration", "right", "style"], "object")
    )


CONTRACT_COLUMNS = [
    "expiration", "strike", "right", "style", "multiplier", "open_interest", "bid", "ask",
    "bid_size", "ask_size", "quoted_at", *BROKER,
]  # fmt: skip


def store(url, cycle, chain):
    """The id of a snapshot with this chain, in one transaction."""
    with transaction(url) as session:
        head = ("XYZ", SLOT, Decimal(230), None)
        snapshot_id = snapshots.save_snapshot(session, cycle, head)
        snapshots.save_quotes(session, snapshot_id, chain)
    return snapshot_id


def by_symbol(frame):
    return frame.sort_values("symbol", ignore_index=True)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(contract, max_size=12))
def test_a_chain_comes_back_with_every_value_and_every_gap(database_url, contracts):
    chain = as_frame(contracts)
    with engine(database_url).connect() as connection, connection.begin() as everything:
        connection.execute(text("TRUNCATE accounts RESTART IDENTITY CASCADE"))
        connection.execute(
            text(
                "INSERT INTO accounts (number, environment, first_seen_at)"
                " VALUES ('A', 'live', now())"
            )
        )
        connection.execute(
            text(
                "INSERT INTO cycles (account_id, kind, slot, state, opened_at, lease_until,"
                " code_version) VALUES (1, 'trading', now(), 'running', now(), now(), '1')"
            )
        )
        mine = Cycle(
            id=1, account_id=1, account="A", kind=CycleKind.TRADING, slot=SLOT, lease_number=0
        )
        head = ("XYZ", SLOT, Decimal("230.1234"), None)
        snapshots.save_quotes(connection, snapshots.save_snapshot(connection, mine, head), chain)
        taken = snapshots.read_snapshot(connection, mine, "XYZ")
        found = snapshots.read_chain(connection, taken)
        gaps = connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE bid IS NULL), count(*) FILTER (WHERE ask_size IS"
                " NULL), count(*) FILTER (WHERE quoted_at IS NULL),"
                " count(*) FILTER (WHERE broker_iv IS NULL) FROM quotes"
            )
        ).one()
        everything.rollback()
    assert taken.spot == Decimal("230.1234")
    pd.testing.assert_frame_equal(by_symbol(found), by_symbol(chain), check_exact=True)
    missing = ["bid", "ask_size", "quoted_at", "broker_iv"]
    assert list(gaps) == [sum(one[name] is None for one in contracts) for name in missing]


def test_greeks_come_back_bit_for_bit_and_a_second_pricing_replaces_the_first(database_url, cycle):
    chain = as_frame(
        [
            {**dict.fromkeys(CONTRACT_COLUMNS), "expiration": date(2026, 12, 18), "strike": k,
             "right": "C", "style": "american", "multiplier": 100.0}
            for k in (240.0, 245.0, 250.0)
        ]
    )  # fmt: skip
    names = [f"X261218C0024{n}000" for n in range(2)]
    chain["symbol"] = [*names, "XW261218C00242000"]
    forward = [0.1, 0.09, 0.04, date(2026, 11, 19), -1 / 3, 0.26, 7.0, 230.5, "parity"]
    shared = dict(zip([name for name in FORWARD if name != "root"], forward, strict=True))
    numbers = [name for name in CONTRACT if name not in ("model", "flag")]
    solved = [1 / 3, 0.1, 0.2000000000000001, 0.3, 0.3, 1e-300, -0.1, 0.2, 0.1, *[1 / 7] * 6]
    doubted = [*[0.1] * 9, *[np.nan] * 6]
    flagged = [np.nan] * 15
    priced = chain.assign(
        **{n: values for n, *values in zip(numbers, solved, flagged, doubted, strict=True)},
        **{name: [value] * 3 for name, value in shared.items()},
        root=["X", "X", "XW"],
        model=["american", "european", "american_dividends"],
        flag=[None, "no_bid", "wide"],
    )[[*chain.columns, *GREEKS]]
    second = priced["root"] == "XW"  # another root on the same day
    priced.loc[second, ["years", "forward"]] = 0.2, 231.5
    unpriced = ["carry", "forward", "forward_source"]
    none = priced.assign(**dict.fromkeys(unpriced, None)).astype(CHAIN | GREEKS)
    none["flag"] = "no_underlying"
    none[numbers] = np.nan
    snapshot_id = store(database_url, cycle, chain)
    for frame in (none, priced):
        with transaction(database_url) as session:
            snapshots.save_greeks(session, snapshot_id, frame)
            (taken,) = snapshots.read_snapshots(session, cycle)
            found = snapshots.read_priced(session, taken)
        pd.testing.assert_frame_equal(by_symbol(found), by_symbol(frame), check_exact=True)
    with transaction(database_url) as session:
        known = snapshots.read_greeks(session, cycle, list(chain["symbol"]))
    # What is held on a doubted quote counts at its Greeks; an unsolved one has none.
    assert list(known) == [chain["symbol"][0], chain["symbol"][2]]


def test_half_a_chain_is_never_stored(database_url, cycle):
    twice = as_frame(
        [
            {**dict.fromkeys(CONTRACT_COLUMNS), "expiration": date(2026, 12, 18), "strike": k,
             "right": "C", "style": "american", "multiplier": 100.0}
            for k in (240.0, 245.0)
        ]
    ).assign(symbol="SAME")  # fmt: skip
    with pytest.raises(UniqueViolation, match="quotes_key"):
        store(database_url, cycle, twice)
    assert rows(database_url, "snapshots") == rows(database_url, "quotes") == []

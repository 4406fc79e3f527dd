"""What the market said: snapshots, raw quotes, and what we make of them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from db.schema.columns import INSTANT, PRICE, STRIKE, cycle_id, identity, metadata, one_of
from domain.chain import DOUBTS, ForwardSource, Model, QuoteFlag

# One underlying's chain as read in a cycle.
snapshots = Table(
    "snapshots",
    metadata,
    identity(),
    cycle_id(),
    Column("underlying", Text, nullable=False),
    Column("taken_at", INSTANT, nullable=False),
    Column("spot", PRICE),  # null: the broker knew no price
    Column("problem", Text),  # null when there are contracts and a spot
    UniqueConstraint("cycle_id", "underlying"),
)

# The raw quote of each contract, never changed.
quotes = Table(
    "quotes",
    metadata,
    Column("snapshot_id", ForeignKey("snapshots.id"), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("expiration", Date, nullable=False),
    Column("strike", STRIKE, nullable=False),
    Column("right", Text, nullable=False),
    Column("style", Text, nullable=False),
    Column("multiplier", Integer, nullable=False),
    Column("open_interest", Integer),  # null: the broker has none yet
    Column("bid", PRICE),  # null: nobody buys
    Column("ask", PRICE),  # null: nobody sells
    Column("bid_size", Integer),  # null with bid
    Column("ask_size", Integer),  # null with ask
    Column("quoted_at", INSTANT),  # null: no quote
    Column("broker_iv", Double),  # null, like its Greeks: the broker sends none
    Column("broker_delta", Double),
    Column("broker_gamma", Double),
    Column("broker_theta", Double),
    Column("broker_vega", Double),
    Column("broker_rho", Double),
    CheckConstraint("\"right\" IN ('C', 'P')", name="right_is_known"),
)

# What prices every contract of an expiration in a snapshot, and where it comes from.
forwards = Table(
    "forwards",
    metadata,
    Column("snapshot_id", ForeignKey("snapshots.id"), primary_key=True),
    Column("root", Text, primary_key=True),  # of the symbols: one day may end two roots
    Column("expiration", Date, primary_key=True),
    Column("years", Double, nullable=False),
    Column("clock_years", Double, nullable=False),
    Column("rate", Double, nullable=False),
    Column("curve_day", Date),  # null: stored by version 0.1, which kept none
    Column("carry", Double),  # null, like forward: no price of the underlying, or expired
    Column("dividends_pv", Double, nullable=False),
    Column("pairs", Integer),  # null: stored by version 0.1, which kept none
    Column("forward", Double),
    Column("forward_source", Text),  # null with forward
    one_of("forward_source", ForwardSource),
    CheckConstraint("(forward IS NULL) = (forward_source IS NULL)", name="forward_has_a_source"),
    CheckConstraint("(forward IS NULL) = (carry IS NULL)", name="forward_has_a_carry"),
)

# What we make of a quote: solved, or flagged with the reason, or solved and doubted.
greeks = Table(
    "greeks",
    metadata,
    Column("snapshot_id", BigInteger, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("mid", Double),  # null: no two-sided quote
    Column("bid_iv", Double),  # null: nobody buys, or no volatility gives that price
    Column("iv", Double),  # null, like all Greeks, when flagged; a doubted quote keeps them
    Column("ask_iv", Double),  # null: nobody sells, or no volatility gives that price
    Column("delta", Double),
    Column("gamma", Double),
    Column("theta", Double),
    Column("vega", Double),
    Column("rho", Double),
    Column("iv_gap", Double),  # null, like the next five: we or the broker have none
    Column("delta_gap", Double),
    Column("gamma_gap", Double),
    Column("theta_gap", Double),
    Column("vega_gap", Double),
    Column("rho_gap", Double),
    Column("flag", Text),  # null where the numbers may be traded on
    ForeignKeyConstraint(["snapshot_id", "symbol"], ["quotes.snapshot_id", "quotes.symbol"]),
    one_of("model", Model),
    one_of("flag", QuoteFlag),
    CheckConstraint(
        f"(iv IS NOT NULL) = (flag IS NULL OR flag IN ({', '.join(map(repr, map(str, DOUBTS)))}))",
        name="solved_or_flagged",
    ),
    CheckConstraint("num_nulls(iv, delta, gamma, theta, vega, rho) IN (0, 6)", name="whole"),
)

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
from domain.chain import QuoteFlag

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
    Column("broker_iv", Double),  # null: the broker sends none
    CheckConstraint("\"right\" IN ('C', 'P')", name="right_is_known"),
)

# What we make of a quote: solved, or flagged with the reason, never both and never neither.
greeks = Table(
    "greeks",
    metadata,
    Column("snapshot_id", BigInteger, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("mid", Double),  # null: no two-sided quote
    Column("years", Double, nullable=False),
    Column("rate", Double, nullable=False),
    Column("forward", Double),  # null: no price of the underlying
    Column("iv", Double),  # null, like all Greeks, when flagged
    Column("delta", Double),
    Column("gamma", Double),
    Column("theta", Double),
    Column("vega", Double),
    Column("rho", Double),
    Column("flag", Text),  # null when solved
    ForeignKeyConstraint(["snapshot_id", "symbol"], ["quotes.snapshot_id", "quotes.symbol"]),
    one_of("flag", QuoteFlag),
    CheckConstraint("(flag IS NULL) = (iv IS NOT NULL)", name="solved_or_flagged"),
    CheckConstraint("num_nulls(iv, delta, gamma, theta, vega, rho) IN (0, 6)", name="whole"),
)

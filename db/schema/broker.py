"""What the broker says: orders, fills, activities, positions, money; and what tonight may bring."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
)

from db.schema.columns import (
    INSTANT,
    PRICE,
    SHARES,
    STRIKE,
    USD,
    account_id,
    cycle_id,
    identity,
    metadata,
    one_of,
)
from domain.orders import Side
from domain.report import Likelihood

# The broker's orders, ours or not; a multi-leg parent and each of its legs are rows.
orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    account_id(),
    Column("client_order_id", Text, nullable=False),
    Column("parent_id", ForeignKey("orders.id")),  # null unless a leg
    Column("order_class", Text, nullable=False),
    Column("symbol", Text),  # null on a multi-leg parent
    Column("side", Text),  # null on a multi-leg parent
    Column("position_intent", Text),  # null where the broker sends none
    Column("quantity", SHARES),  # null: ordered for an amount of money
    Column("filled_quantity", SHARES, nullable=False),
    Column("filled_average_price", Numeric(16, 6)),  # null until a fill
    Column("limit_price", PRICE),  # null on a leg and a market order
    Column("status", Text, nullable=False),
    Column("submitted_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    Column("filled_at", INSTANT),  # null until filled
    UniqueConstraint("account_id", "client_order_id"),
    CheckConstraint("filled_quantity <= quantity", name="not_overfilled"),
)

# Each execution once, by the broker's id. Its order may be listed later, so no foreign key.
fills = Table(
    "fills",
    metadata,
    account_id(primary_key=True),
    Column("id", Text, primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", SHARES, nullable=False),
    Column("price", PRICE, nullable=False),
    Column("filled_at", INSTANT, nullable=False),
    Column("status", Text, nullable=False),  # executed, correct, or canceled: taken back
    Column("seen_at", INSTANT, nullable=False),
    Column("in_beginning", Boolean, nullable=False, server_default=false()),
    Column("mid_price", PRICE),  # null: not ours, or its order is not known yet
    # USD a share against the mid when its order left; negative when it was better.
    Column(
        "slippage",
        PRICE,
        Computed("CASE side WHEN 'buy' THEN price - mid_price ELSE mid_price - price END"),
    ),  # null with mid_price
    one_of("side", Side),
    CheckConstraint("quantity > 0", name="quantity_is_positive"),
)

# Expiries, assignments, fees, dividends. An exercise and its shares may share one id.
activities = Table(
    "activities",
    metadata,
    account_id(primary_key=True),
    Column("activity_type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("symbol", Text),  # null: about cash only
    Column("quantity", SHARES),  # null: about cash only
    Column("price", PRICE),  # null where the broker sends none
    Column("net_amount", USD, nullable=False),
    Column("status", Text, nullable=False),
    Column("description", Text),  # null where the broker sends none
    Column("seen_at", INSTANT, nullable=False),
    Column("in_beginning", Boolean, nullable=False, server_default=false()),
)

# What is held now, as the broker said last; a position that is gone has no row.
positions = Table(
    "positions",
    metadata,
    account_id(primary_key=True),
    Column("symbol", Text, primary_key=True),
    cycle_id(),
    Column("quantity", SHARES, nullable=False),
    Column("average_entry_price", Numeric(16, 6), nullable=False),
    Column("current_price", PRICE),  # null: the broker has no mark
    Column("market_value", USD),  # null: the broker has no mark
    CheckConstraint("quantity <> 0", name="is_held"),
)

# The account's money as read at the end of a cycle.
account_marks = Table(
    "account_marks",
    metadata,
    cycle_id(primary_key=True),
    Column("marked_at", INSTANT, nullable=False),
    Column("cash", USD, nullable=False),
    Column("equity", USD, nullable=False),
    Column("last_equity", USD, nullable=False),
    Column("options_buying_power", USD, nullable=False),
    Column("initial_margin", USD, nullable=False),
    Column("maintenance_margin", USD, nullable=False),
)

# What the account held when it was first read in a session: the audit counts from here. A fill or
# an activity that was known by then is in it, and says so.
beginnings = Table(
    "beginnings",
    metadata,
    account_id(primary_key=True),
    Column("symbol", Text, primary_key=True),  # or cash
    Column("amount", SHARES, nullable=False),
    Column("seen_at", INSTANT, nullable=False),
)

# What the broker holds and no order and no activity explains; each has set the halt.
discrepancies = Table(
    "discrepancies",
    metadata,
    identity(),
    account_id(),
    cycle_id(),
    Column("subject", Text, nullable=False),  # a symbol, cash, or an order in words
    Column("expected", SHARES, nullable=False),
    Column("found", SHARES, nullable=False),
    Column("seen_at", INSTANT, nullable=False),
    Column("accepted_at", INSTANT),  # null until a person resumes all the same
    Column("explained_at", INSTANT),  # null while it stands
)
Index(
    "one_standing_discrepancy",
    discrepancies.c.account_id,
    discrepancies.c.subject,
    unique=True,
    postgresql_where=discrepancies.c.explained_at.is_(None),
)

# The end-of-day assignment report, a row a short contract.
assignment_risks = Table(
    "assignment_risks",
    metadata,
    cycle_id(primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("quantity", Integer, nullable=False),
    Column("expiration", Date, nullable=False),
    Column("days_to_expiry", Integer, nullable=False),
    Column("strike", STRIKE, nullable=False),
    Column("spot", PRICE),  # null: no price of the underlying
    Column("moneyness", Numeric(9, 4)),  # null with spot
    Column("extrinsic", PRICE),  # null: no two-sided quote
    Column("likelihood", Text, nullable=False),
    Column("shares", Integer, nullable=False),
    Column("cash_usd", USD, nullable=False),
    one_of("likelihood", Likelihood),
)

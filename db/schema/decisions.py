"""What was looked at, judged, meant and opened."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
)

from db.schema.columns import INSTANT, PRICE, USD, account_id, cycle_id, identity, metadata, one_of
from domain.orders import LIVE, IntentState, Purpose, Side
from domain.risk import Check
from domain.structures import StructureState

# Legs that were opened together. Prices are net a share of one unit: positive is a debit.
structures = Table(
    "structures",
    metadata,
    identity(),
    account_id(),
    Column("strategy", Text, nullable=False),
    Column("underlying", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("entry_price", PRICE),  # null until filled
    Column("exit_price", PRICE),  # null until closed or expired
    Column("realized_usd", USD),  # null until a unit is closed or has expired
    Column("opened_at", INSTANT, nullable=False),
    Column("closed_at", INSTANT),  # null while alive
    one_of("state", StructureState),
    CheckConstraint("quantity > 0", name="quantity_is_positive"),
)

structure_legs = Table(
    "structure_legs",
    metadata,
    Column("structure_id", ForeignKey("structures.id"), primary_key=True),
    Column("leg_number", Integer, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("ratio", Integer, nullable=False),
    one_of("side", Side),
    CheckConstraint("ratio > 0", name="ratio_is_positive"),
    UniqueConstraint("structure_id", "symbol"),
)

# Everything a strategy looked at in a slot, traded or turned down, with the rule and its numbers.
candidates = Table(
    "candidates",
    metadata,
    identity(),
    cycle_id(),
    Column("strategy", Text, nullable=False),
    Column("underlying", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("structure_id", ForeignKey("structures.id")),  # null for an entry
    Column("expiration", Date),  # null: no chain to look at
    Column("width", PRICE),  # null: legs not found
    Column("price_natural", PRICE),  # null: legs not found or not priced
    Column("price_mid", PRICE),  # null: legs not found or not priced
    Column("is_accepted", Boolean, nullable=False),
    Column("rule", Text),  # null: an entry that passed every rule
    Column("value", Double),  # null: the rule saw no number
    Column("threshold", Double),  # null: the rule holds it against none
    UniqueConstraint(
        "cycle_id",
        "strategy",
        "purpose",
        "underlying",
        "expiration",
        "structure_id",
        name="candidates_once_a_cycle",
        postgresql_nulls_not_distinct=True,
    ),
    one_of("purpose", Purpose),
    CheckConstraint("is_accepted OR rule IS NOT NULL", name="turned_down_has_a_rule"),
)

candidate_legs = Table(
    "candidate_legs",
    metadata,
    Column("candidate_id", ForeignKey("candidates.id"), primary_key=True),
    Column("leg_number", Integer, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("ratio", Integer, nullable=False),
    one_of("side", Side),
)

# Each check's answer for each accepted entry.
verdicts = Table(
    "verdicts",
    metadata,
    Column("candidate_id", ForeignKey("candidates.id"), primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("value", Double),  # null: unknown, and the unknown does not pass
    Column("threshold", Double, nullable=False),
    Column("passed", Boolean, nullable=False),
    one_of("check_name", Check),
    CheckConstraint("value IS NOT NULL OR NOT passed", name="unknown_does_not_pass"),
)

# What we mean to send, a row an order. Committed before any request leaves; the id is computed
# from the decision and the attempt. A trigger keeps its moves to domain.orders.MOVES, keeps what is
# filled from falling, notes when it was given up, and leaves a row in intent_events for each move.
intents = Table(
    "intents",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    account_id(),
    cycle_id(),
    Column("candidate_id", ForeignKey("candidates.id"), nullable=False),
    Column("structure_id", ForeignKey("structures.id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("limit_price", Numeric(12, 2), nullable=False),  # the worst the decision takes
    Column("loss_usd_worst", USD, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text),  # null unless refused, unknown or given up: the words why
    Column("planned_at", INSTANT, nullable=False),
    Column("sent_at", INSTANT),  # null until claimed for sending
    Column("attempt", Integer, nullable=False),
    Column("sent_price", Numeric(12, 2)),  # null until claimed: the limit that it is sent at
    Column("mid_price", PRICE),  # null until claimed: the mid of its legs' quotes then
    Column("filled_quantity", Integer, nullable=False),
    Column("looks", Integer, nullable=False),  # look-ups that found no order
    Column("looked_at", INSTANT),  # null until such a look
    Column("given_up_at", INSTANT),  # null unless it was once taken for refused or never received
    Column("moved_at", INSTANT, nullable=False),
    one_of("purpose", Purpose),
    one_of("state", IntentState),
    UniqueConstraint("candidate_id", "attempt"),
    CheckConstraint("length(client_order_id) <= 48", name="id_fits"),
    CheckConstraint("quantity > 0", name="quantity_is_positive"),
    CheckConstraint("filled_quantity BETWEEN 0 AND quantity", name="not_overfilled"),
    CheckConstraint("loss_usd_worst >= 0", name="loss_is_not_negative"),
    CheckConstraint("sent_price <= limit_price", name="never_worse_than_decided"),
    CheckConstraint(
        "(sent_at IS NULL) = (state IN ('planned', 'not_sent'))", name="sent_when_it_left"
    ),
)
# A structure is never opened twice at once, nor closed twice at once. An order that was once given
# up does not count: should it turn up beside the one that followed, that is no wish of ours, and it
# must be possible to write it down.
for purpose, doing in ((Purpose.OPEN, "opening"), (Purpose.CLOSE, "closing")):
    Index(
        f"one_live_{doing}_intent",
        intents.c.structure_id,
        unique=True,
        postgresql_where=(intents.c.purpose == purpose)
        & intents.c.state.in_([IntentState.PLANNED, *LIVE])
        & intents.c.given_up_at.is_(None),
    )

# The quote of each leg that a price was made from.
intent_quotes = Table(
    "intent_quotes",
    metadata,
    Column("client_order_id", ForeignKey("intents.client_order_id"), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("bid", PRICE),  # null: nobody bids
    Column("ask", PRICE, nullable=False),
    Column("quoted_at", INSTANT, nullable=False),
)

# Every state that an intent has had, in its order; written by a trigger, never changed.
intent_events = Table(
    "intent_events",
    metadata,
    identity(),
    Column("client_order_id", ForeignKey("intents.client_order_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text),  # null as in intents
    Column("filled_quantity", Integer, nullable=False),
    Column("moved_at", INSTANT, nullable=False),
)
Index("intent_events_of_one", intent_events.c.client_order_id)

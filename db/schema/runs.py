"""Who trades, and each run of the pipeline."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)

from db.schema.columns import INSTANT, USD, account_id, cycle_id, identity, metadata, one_of
from domain.cycle import CycleKind, CycleState, Step

# Who trades. Everything else hangs on an account, so a paper and a live account never mix.
accounts = Table(
    "accounts",
    metadata,
    identity(),
    Column("number", Text, nullable=False, unique=True),
    Column("environment", Text, nullable=False),
    Column("first_seen_at", INSTANT, nullable=False),
    # Each cycle takes the next number; whoever writes under an older one is turned away.
    Column("lease_number", BigInteger, nullable=False, server_default="0"),
    one_of("environment", ("simulator", "paper", "live")),
)

# One run of the pipeline. A slot is run once an account and kind, whoever starts it.
cycles = Table(
    "cycles",
    metadata,
    identity(),
    account_id(),
    Column("kind", Text, nullable=False),
    Column("slot", INSTANT, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),  # null while running and when done: nothing to explain
    Column("opened_at", INSTANT, nullable=False),
    Column("closed_at", INSTANT),  # null while running
    Column("lease_number", BigInteger, nullable=False, server_default="0"),  # 0: never ran
    Column("lease_until", INSTANT, nullable=False),  # a running cycle silent beyond this is dead
    Column("flow_run_id", Uuid),  # null when no orchestrator ran it
    Column("code_version", Text, nullable=False),
    UniqueConstraint("account_id", "kind", "slot"),
    one_of("kind", CycleKind),
    one_of("state", CycleState),
    CheckConstraint("(state = 'running') = (closed_at IS NULL)", name="closed_when_not_running"),
)
# No two cycles of one account run at once, whoever starts them.
Index(
    "one_running_cycle",
    cycles.c.account_id,
    unique=True,
    postgresql_where=cycles.c.state == CycleState.RUNNING,
)

# What each step of a cycle did; a step run again overwrites its row.
steps = Table(
    "steps",
    metadata,
    cycle_id(primary_key=True),
    Column("step", Text, primary_key=True),
    Column("started_at", INSTANT, nullable=False),
    Column("duration_ms", Integer),  # null until it ends
    Column("row_count", Integer),  # null until it ends; rows it stands for in the database
    Column("note", Text),  # null when there is nothing to say
    one_of("step", Step),
)

# The day's profit and loss, marked by the end of day.
days = Table(
    "days",
    metadata,
    account_id(primary_key=True),
    Column("day", Date, primary_key=True),
    cycle_id(),
    Column("opening_equity", USD, nullable=False),
    Column("closing_equity", USD, nullable=False),
    Column("profit_usd", USD, nullable=False),
)

# A stop on new risk. Checked when an intent is judged and again when it is claimed for sending.
# Its times are the database's: a halt must be possible when the broker cannot be asked.
halts = Table(
    "halts",
    metadata,
    identity(),
    account_id(),
    Column("reason", Text, nullable=False),
    Column("set_at", INSTANT, nullable=False, server_default=func.now()),
    Column("cleared_at", INSTANT),  # null while it stands
)
# One halt stands at a time, so that clearing it clears all.
Index("one_halt", halts.c.account_id, unique=True, postgresql_where=halts.c.cleared_at.is_(None))

"""Quantities to a billionth of a share; a refused order that came up all the same; accepted discrepancies"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'

SHARES = (
    ('orders', 'quantity'), ('orders', 'filled_quantity'), ('fills', 'quantity'), ('activities', 'quantity'),
    ('positions', 'quantity'), ('beginnings', 'amount'), ('discrepancies', 'expected'), ('discrepancies', 'found'),
)
AT_BROKER = ('accepted', 'working', 'filled', 'canceled', 'expired', 'rejected')
MOVES = {
    'planned': ('sending', 'not_sent'),
    'sending': (*AT_BROKER, 'unknown', 'not_received', 'refused'),
    'unknown': (*AT_BROKER, 'not_received'),
    'not_received': AT_BROKER,
    'refused': AT_BROKER,
    'accepted': AT_BROKER[1:],
    'working': AT_BROKER[2:],
}
LIVE = "state IN ('planned', 'sending', 'unknown', 'accepted', 'working')"
ALLOWED = ', '.join(f"('{before}', '{after}')" for before, afters in MOVES.items() for after in afters)
KEEP_MOVES = f"""
CREATE OR REPLACE FUNCTION keep_intent_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.state <> 'planned' THEN
        RAISE EXCEPTION 'intent % begins as %, not as planned', NEW.client_order_id, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'intents_begin_planned';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN ({ALLOWED}) THEN
            RAISE EXCEPTION 'intent % cannot go from % to %', NEW.client_order_id, OLD.state, NEW.state
                USING ERRCODE = 'check_violation', CONSTRAINT = 'intents_move_is_allowed';
        END IF;
        IF NEW.filled_quantity < OLD.filled_quantity THEN
            RAISE EXCEPTION 'intent % had filled % units, not %', NEW.client_order_id,
                OLD.filled_quantity, NEW.filled_quantity
                USING ERRCODE = 'check_violation', CONSTRAINT = 'intents_filled_never_falls';
        END IF;
        IF NEW.state IN ('not_received', 'refused') AND NEW.given_up_at IS NULL THEN
            NEW.given_up_at := NEW.moved_at;
        END IF;
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    for table, column in SHARES:
        op.alter_column(table, column, type_=sa.Numeric(22, 9))
    op.alter_column('orders', 'quantity', nullable=True)
    op.add_column('discrepancies', sa.Column('accepted_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('intents', sa.Column('given_up_at', sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE intents i SET given_up_at = (SELECT min(e.moved_at) FROM intent_events e WHERE"
               " e.client_order_id = i.client_order_id AND e.state IN ('not_received', 'refused'))")
    for purpose, name in (('open', 'one_live_opening_intent'), ('close', 'one_live_closing_intent')):
        op.drop_index(name, 'intents')
        where = sa.text(f"purpose = '{purpose}' AND {LIVE} AND given_up_at IS NULL")
        op.create_index(name, 'intents', ['structure_id'], unique=True, postgresql_where=where)
    op.execute(KEEP_MOVES)

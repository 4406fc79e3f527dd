"""An intent is one order of a decision; its moves, the lease, the audit"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'

STATES = (
    'planned', 'sending', 'unknown', 'not_received', 'accepted', 'working', 'filled', 'canceled', 'expired',
    'rejected', 'refused', 'not_sent',
)
CHECKS = (
    'halt', 'daily_loss', 'position_size', 'single_trade_loss', 'option_allocation', 'concentration',
    'portfolio_delta', 'portfolio_gamma', 'portfolio_theta', 'buying_power', 'unsettled_order', 'same_legs',
    'order_rate', 'price_collar',
)
AT_BROKER = ('accepted', 'working', 'filled', 'canceled', 'expired', 'rejected')
MOVES = {
    'planned': ('sending', 'not_sent'),
    'sending': (*AT_BROKER, 'unknown', 'not_received', 'refused'),
    'unknown': (*AT_BROKER, 'not_received'),
    'not_received': AT_BROKER,
    'accepted': AT_BROKER[1:],
    'working': AT_BROKER[2:],
}
LIVE = "state IN ('planned', 'sending', 'unknown', 'accepted', 'working')"

ALLOWED = ', '.join(f"('{before}', '{after}')" for before, afters in MOVES.items() for after in afters)
KEEP_MOVES = f"""
CREATE FUNCTION keep_intent_moves() RETURNS trigger LANGUAGE plpgsql AS $$
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
    END IF;
    RETURN NEW;
END $$
"""
TELL_MOVES = """
CREATE FUNCTION tell_intent_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.state <> OLD.state OR NEW.filled_quantity <> OLD.filled_quantity THEN
        INSERT INTO intent_events (client_order_id, state, detail, filled_quantity, moved_at)
        VALUES (NEW.client_order_id, NEW.state, NEW.detail, NEW.filled_quantity, NEW.moved_at);
    END IF;
    RETURN NULL;
END $$
"""


def known(table, column, words):
    listed = ', '.join(f"'{word}'" for word in words)
    op.drop_constraint(f'{table}_{column}_is_known', table)
    op.create_check_constraint(op.f(f'{table}_{column}_is_known'), table, f'{column} IN ({listed})')


def upgrade() -> None:
    for table in ('accounts', 'cycles'):
        op.add_column(table, sa.Column('lease_number', sa.BigInteger(), server_default='0', nullable=False))
    known('verdicts', 'check_name', CHECKS)
    known('intents', 'state', STATES)
    new = (
        ('attempt', sa.Integer(), '1'), ('sent_price', sa.Numeric(12, 2), None), ('mid_price', sa.Numeric(12, 4), None),
        ('filled_quantity', sa.Integer(), '0'), ('looks', sa.Integer(), '0'),
        ('looked_at', sa.DateTime(timezone=True), None), ('moved_at', sa.DateTime(timezone=True), None),
    )
    for name, kind, default in new:
        op.add_column('intents', sa.Column(name, kind, server_default=default, nullable=default is None))
        op.alter_column('intents', name, server_default=None)
    # Version 0.1 sent a decision once, at its worst price, and called a look without an order refused.
    op.execute("UPDATE intents SET moved_at = coalesce(sent_at, planned_at),"
               " sent_price = CASE WHEN sent_at IS NOT NULL THEN limit_price END")
    op.execute("UPDATE intents i SET filled_quantity = least(o.filled_quantity, i.quantity) FROM orders o"
               " WHERE o.account_id = i.account_id AND o.client_order_id = i.client_order_id")
    op.execute("UPDATE intents SET state = 'not_received' WHERE state = 'refused' AND detail LIKE 'never received%'")
    op.alter_column('intents', 'moved_at', nullable=False)
    op.drop_constraint('intents_one_candidate_id', 'intents')
    op.create_unique_constraint(op.f('intents_one_candidate_id_attempt'), 'intents', ['candidate_id', 'attempt'])
    op.create_check_constraint(op.f('intents_not_overfilled'), 'intents', 'filled_quantity BETWEEN 0 AND quantity')
    op.create_check_constraint(op.f('intents_never_worse_than_decided'), 'intents', 'sent_price <= limit_price')
    op.drop_index('one_opening_intent', 'intents')
    op.drop_index('one_live_closing_intent', 'intents')
    for purpose, name in (('open', 'one_live_opening_intent'), ('close', 'one_live_closing_intent')):
        where = sa.text(f"purpose = '{purpose}' AND {LIVE} AND looks < 5")
        op.create_index(name, 'intents', ['structure_id'], unique=True, postgresql_where=where)
    op.create_table('intent_quotes',
    sa.Column('client_order_id', sa.Text(), nullable=False),
    sa.Column('symbol', sa.Text(), nullable=False),
    sa.Column('bid', sa.Numeric(12, 4), nullable=True),
    sa.Column('ask', sa.Numeric(12, 4), nullable=False),
    sa.Column('quoted_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['client_order_id'], ['intents.client_order_id'], name=op.f('intent_quotes_client_order_id')),
    sa.PrimaryKeyConstraint('client_order_id', 'symbol', name=op.f('intent_quotes_key'))
    )
    op.create_table('intent_events',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('client_order_id', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.Column('filled_quantity', sa.Integer(), nullable=False),
    sa.Column('moved_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['client_order_id'], ['intents.client_order_id'], name=op.f('intent_events_client_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('intent_events_key'))
    )
    op.create_index('intent_events_of_one', 'intent_events', ['client_order_id'])
    op.execute("INSERT INTO intent_events (client_order_id, state, detail, filled_quantity, moved_at)"
               " SELECT client_order_id, state, detail, filled_quantity, moved_at FROM intents ORDER BY planned_at")
    op.execute(KEEP_MOVES)
    op.execute(TELL_MOVES)
    op.execute('CREATE TRIGGER keep_moves BEFORE INSERT OR UPDATE ON intents'
               ' FOR EACH ROW EXECUTE FUNCTION keep_intent_moves()')
    op.execute('CREATE TRIGGER tell_moves AFTER INSERT OR UPDATE ON intents'
               ' FOR EACH ROW EXECUTE FUNCTION tell_intent_moves()')
    op.alter_column('orders', 'filled_average_price', type_=sa.Numeric(16, 6))
    op.add_column('fills', sa.Column('status', sa.Text(), server_default='executed', nullable=False))
    op.alter_column('fills', 'status', server_default=None)
    for table, moment in (('fills', 'filled_at'), ('activities', 'day::timestamptz')):
        op.add_column(table, sa.Column('seen_at', sa.DateTime(timezone=True), nullable=True))
        op.execute(f'UPDATE {table} SET seen_at = {moment}')
        op.alter_column(table, 'seen_at', nullable=False)
        op.add_column(table, sa.Column('in_beginning', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('fills', sa.Column('mid_price', sa.Numeric(12, 4), nullable=True))
    slippage = "CASE side WHEN 'buy' THEN price - mid_price ELSE mid_price - price END"
    op.add_column('fills', sa.Column('slippage', sa.Numeric(12, 4), sa.Computed(slippage, persisted=True)))
    op.create_table('beginnings',
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('symbol', sa.Text(), nullable=False),
    sa.Column('amount', sa.Numeric(18, 4), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('beginnings_account_id')),
    sa.PrimaryKeyConstraint('account_id', 'symbol', name=op.f('beginnings_key'))
    )
    op.create_table('discrepancies',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('cycle_id', sa.BigInteger(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('expected', sa.Numeric(18, 4), nullable=False),
    sa.Column('found', sa.Numeric(18, 4), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('explained_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['account_id'], ['accounts.id'], name=op.f('discrepancies_account_id')),
    sa.ForeignKeyConstraint(['cycle_id'], ['cycles.id'], name=op.f('discrepancies_cycle_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('discrepancies_key'))
    )
    op.create_index('one_standing_discrepancy', 'discrepancies', ['account_id', 'subject'], unique=True,
                    postgresql_where=sa.text('explained_at IS NULL'))

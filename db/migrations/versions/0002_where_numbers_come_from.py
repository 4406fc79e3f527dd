"""Where numbers come from: a forward's source, a contract's model, the broker's own Greeks"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'

FLAGS = (
    'no_underlying', 'expired', 'no_quote', 'no_bid', 'no_ask', 'crossed', 'below_intrinsic',
    'above_bound', 'beyond_bounds', 'wide', 'stale',
)
LISTED = ', '.join(f"'{flag}'" for flag in FLAGS)
GREEKS = ('delta', 'gamma', 'theta', 'vega', 'rho')

# Version 0.1 had two forwards: spot grown at the rate, to the last digits, or parity's. What it
# stored of the day of its yields and of its pairs is nothing, and stays unknown.
FORWARDS = """
INSERT INTO forwards (snapshot_id, root, expiration, years, clock_years, rate, carry, dividends_pv, forward,
                      forward_source)
SELECT DISTINCT ON (g.snapshot_id, left(g.symbol, -15), q.expiration)
       g.snapshot_id, left(g.symbol, -15), q.expiration, g.years, g.years, g.rate,
       CASE WHEN known THEN g.rate - ln(g.forward / s.spot::float8) / g.years END, 0,
       CASE WHEN known THEN g.forward END,
       CASE WHEN NOT known THEN NULL
            WHEN abs(g.forward / (s.spot::float8 * exp(g.rate * g.years)) - 1) < 1e-12 THEN 'spot'
            ELSE 'parity' END
FROM greeks g
JOIN quotes q ON q.snapshot_id = g.snapshot_id AND q.symbol = g.symbol
JOIN snapshots s ON s.id = g.snapshot_id
CROSS JOIN LATERAL (
    SELECT coalesce(g.years > 0 AND s.spot > 0 AND g.forward > 0, false) AS known
) AS k
ORDER BY g.snapshot_id, left(g.symbol, -15), q.expiration
"""


def upgrade() -> None:
    for name in GREEKS:
        op.add_column('quotes', sa.Column(f'broker_{name}', sa.Double(), nullable=True))
    op.create_table('forwards',
    sa.Column('snapshot_id', sa.BigInteger(), nullable=False),
    sa.Column('root', sa.Text(), nullable=False),
    sa.Column('expiration', sa.Date(), nullable=False),
    sa.Column('years', sa.Double(), nullable=False),
    sa.Column('clock_years', sa.Double(), nullable=False),
    sa.Column('rate', sa.Double(), nullable=False),
    sa.Column('curve_day', sa.Date(), nullable=True),
    sa.Column('carry', sa.Double(), nullable=True),
    sa.Column('dividends_pv', sa.Double(), nullable=False),
    sa.Column('pairs', sa.Integer(), nullable=True),
    sa.Column('forward', sa.Double(), nullable=True),
    sa.Column('forward_source', sa.Text(), nullable=True),
    sa.CheckConstraint("forward_source IN ('parity', 'bounded', 'neighbour', 'spot')", name=op.f('forwards_forward_source_is_known')),
    sa.CheckConstraint('(forward IS NULL) = (forward_source IS NULL)', name=op.f('forwards_forward_has_a_source')),
    sa.CheckConstraint('(forward IS NULL) = (carry IS NULL)', name=op.f('forwards_forward_has_a_carry')),
    sa.ForeignKeyConstraint(['snapshot_id'], ['snapshots.id'], name=op.f('forwards_snapshot_id')),
    sa.PrimaryKeyConstraint('snapshot_id', 'root', 'expiration', name=op.f('forwards_key'))
    )
    op.execute(FORWARDS)
    for name in ('years', 'rate', 'forward'):
        op.drop_column('greeks', name)
    # Version 0.1 priced every contract as European, whatever its style.
    op.add_column('greeks', sa.Column('model', sa.Text(), nullable=False, server_default='european'))
    op.alter_column('greeks', 'model', server_default=None)
    op.create_check_constraint(op.f('greeks_model_is_known'), 'greeks', "model IN ('european', 'american', 'american_dividends')")
    for name in ('bid_iv', 'ask_iv', 'iv_gap', *(f'{name}_gap' for name in GREEKS)):
        op.add_column('greeks', sa.Column(name, sa.Double(), nullable=True))
    op.execute('UPDATE greeks g SET iv_gap = g.iv - q.broker_iv FROM quotes q'
               ' WHERE q.snapshot_id = g.snapshot_id AND q.symbol = g.symbol')
    op.drop_constraint(op.f('greeks_flag_is_known'), 'greeks', type_='check')
    op.create_check_constraint(op.f('greeks_flag_is_known'), 'greeks', f'flag IN ({LISTED})')
    op.drop_constraint(op.f('greeks_solved_or_flagged'), 'greeks', type_='check')
    op.create_check_constraint(op.f('greeks_solved_or_flagged'), 'greeks', "(iv IS NOT NULL) = (flag IS NULL OR flag IN ('wide', 'stale'))")

-- A small record that is sound: account 1 with two cycles, a chain, a structure, two intents.
INSERT INTO accounts (number, environment, first_seen_at) VALUES ('A1', 'paper', now());
INSERT INTO cycles (account_id, kind, slot, state, opened_at, closed_at, lease_until, code_version)
  VALUES (1, 'trading', '2026-11-20 15:00Z', 'done', now(), now(), now(), '1'),
         (1, 'trading', '2026-11-20 15:30Z', 'running', now(), NULL, now(), '1');
INSERT INTO steps (cycle_id, step, started_at) VALUES (1, 'snapshot', now());
INSERT INTO snapshots (cycle_id, underlying, taken_at, spot) VALUES (1, 'AAPL', now(), 230);
INSERT INTO quotes (snapshot_id, symbol, expiration, strike, "right", style, multiplier)
  VALUES (1, 'AAPL261218C00240000', '2026-12-18', 240, 'C', 'american', 100),
         (1, 'AAPL261218C00245000', '2026-12-18', 245, 'C', 'american', 100);
INSERT INTO forwards VALUES
  (1, 'AAPL', '2026-12-18', 0.1, 0.1, 0.04, '2026-11-19', 0.01, 0, 9, 230.7, 'parity');
INSERT INTO greeks (snapshot_id, symbol, model, iv, delta, gamma, theta, vega, rho)
  VALUES (1, 'AAPL261218C00240000', 'american', 0.2, 0.3, 0.01, -0.1, 0.2, 0.1);
INSERT INTO structures (account_id, strategy, underlying, state, quantity, opened_at)
  VALUES (1, 'iron_condor', 'AAPL', 'open', 2, now());
INSERT INTO structure_legs VALUES (1, 1, 'AAPL261218C00240000', 'sell', 1);
INSERT INTO candidates (cycle_id, strategy, underlying, purpose, expiration, is_accepted)
  VALUES (1, 'iron_condor', 'AAPL', 'open', '2026-12-18', true),
         (2, 'iron_condor', 'AAPL', 'open', '2026-12-18', true),
         (2, 'iron_condor', 'AAPL', 'close', '2026-12-18', true);
INSERT INTO candidates (cycle_id, strategy, underlying, purpose, is_accepted, rule)
  VALUES (1, 'iron_condor', 'XYZ', 'open', false, 'no_chain');
INSERT INTO candidate_legs VALUES (1, 1, 'AAPL261218C00240000', 'sell', 1);
INSERT INTO verdicts VALUES (1, 'halt', 0, 0, true), (1, 'buying_power', NULL, 5, false);
INSERT INTO intents
    (client_order_id, account_id, cycle_id, candidate_id, structure_id, purpose, quantity,
     limit_price, loss_usd_worst, state, planned_at, attempt, filled_quantity, looks, moved_at)
  VALUES ('opening', 1, 1, 1, 1, 'open', 2, -1, 300, 'planned', now(), 1, 0, 0, now()),
         ('closing', 1, 2, 3, 1, 'close', 2, 1, 0, 'planned', now(), 1, 0, 0, now());
UPDATE intents SET state = 'sending', sent_at = now(), sent_price = -1.01
  WHERE client_order_id = 'opening';
UPDATE intents SET state = 'filled', filled_quantity = 2 WHERE client_order_id = 'opening';
INSERT INTO orders (id, account_id, client_order_id, order_class, quantity, filled_quantity,
                    status, submitted_at, updated_at)
  VALUES ('00000000-0000-0000-0000-000000000001', 1, 'opening', 'mleg', 2, 2,
          'filled', now(), now());
INSERT INTO fills (account_id, id, order_id, symbol, side, quantity, price, filled_at, status,
                   seen_at)
  VALUES (1, 'f1', '00000000-0000-0000-0000-000000000001', 'AAPL261218C00240000', 'sell', 2, 1,
          now(), 'executed', now());
INSERT INTO positions VALUES (1, 'AAPL261218C00240000', 1, -2, 1, NULL, NULL);
INSERT INTO assignment_risks VALUES
  (1, 'AAPL261218C00240000', -2, '2026-12-18', 28, 240, NULL, NULL, NULL, 'unknown', -200, 48000);
INSERT INTO halts (account_id, reason, set_at) VALUES (1, 'a person', now());
INSERT INTO discrepancies (account_id, cycle_id, subject, expected, found, seen_at)
  VALUES (1, 1, 'cash', 1, 2, now());

"""The schema in a database is the one in the code, and a database that is not there says so."""

import io
import math
import socket

import pytest
from alembic import command
from sqlalchemy import text

from db import migrate
from db.migrate import WrongSchema, check_schema
from db.session import DatabaseUnavailable, engine, transaction

PASSWORD = "open-sesame-42"


@pytest.fixture
def empty_database_url(own_database_url):
    """A database without a single table."""
    with engine(own_database_url).begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return own_database_url


def schema_of(url):
    """Every column, constraint and index as Postgres describes it."""
    queries = (
        "SELECT table_name, column_name, data_type, is_nullable, numeric_precision, numeric_scale"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    )
    with engine(url).connect() as connection:
        return [sorted(map(tuple, connection.execute(text(query)))) for query in queries]


def test_the_migrations_make_what_the_code_describes(own_database_url):
    said = io.StringIO()
    settings = migrate._config(own_database_url)
    settings.stdout = said
    command.check(settings)  # raises when it would write another migration
    assert "No new upgrade operations detected" in said.getvalue()


def test_an_empty_database_is_migrated_to_the_same_schema(own_database_url, request):
    wanted = schema_of(own_database_url)
    empty = request.getfixturevalue("empty_database_url")
    assert schema_of(empty) == [[], [], []]
    assert migrate.migrate(empty) == migrate.wanted_revision(empty)
    assert schema_of(empty) == wanted


def test_migrating_twice_changes_nothing(own_database_url):
    before = schema_of(own_database_url)
    with transaction(own_database_url) as session:
        session.execute(
            text(
                "INSERT INTO accounts (number, environment, first_seen_at)"
                " VALUES ('A', 'live', now())"
            )
        )
    migrate.migrate(own_database_url)
    assert schema_of(own_database_url) == before
    with engine(own_database_url).connect() as connection:
        assert connection.execute(text("SELECT number FROM accounts")).scalar_one() == "A"


#: A database as version 0.1 left it: a forward of parity, one of spot, one of nothing.
FILLED = """
INSERT INTO accounts (number, environment, first_seen_at) VALUES ('A1', 'paper', now());
INSERT INTO cycles (account_id, kind, slot, state, opened_at, closed_at, lease_until, code_version)
  VALUES (1, 'trading', '2026-11-20 15:00Z', 'done', now(), now(), now(), '1');
INSERT INTO snapshots (cycle_id, underlying, taken_at, spot, problem)
  VALUES (1, 'AAPL', now(), 230, NULL), (1, 'XYZ', now(), NULL, 'no_underlying');
INSERT INTO quotes (snapshot_id, symbol, expiration, strike, "right", style, multiplier, broker_iv)
  VALUES (1, 'AAPL261218C00240000', '2026-12-18', 240, 'C', 'american', 100, 0.19),
         (1, 'AAPL261218C00245000', '2026-12-18', 245, 'C', 'american', 100, NULL),
         (1, 'AAPL270115C00245000', '2027-01-15', 245, 'C', 'american', 100, NULL),
         (1, 'AAPL261120C00245000', '2026-11-20', 245, 'C', 'american', 100, NULL),
         (2, 'XYZ261218C00245000', '2026-12-18', 245, 'C', 'american', 100, NULL);
INSERT INTO greeks VALUES
  (1, 'AAPL261218C00240000', 2, 0.1, 0.04, 230.7, 0.2, 0.3, 0.01, -0.1, 0.2, 0.1, NULL),
  (1, 'AAPL261218C00245000', NULL, 0.1, 0.04, 230.7, NULL, NULL, NULL, NULL, NULL, NULL, 'no_bid'),
  (1, 'AAPL270115C00245000', 2, 0.2, 0.04, 230 * exp(0.04::float8 * 0.2), 0.2, 0.3, 0.01, -0.1,
   0.2, 0.1, NULL),
  (1, 'AAPL261120C00245000', 2, -0.1, 0.04, 229, NULL, NULL, NULL, NULL, NULL, NULL, 'expired'),
  (2, 'XYZ261218C00245000', 2, 0.1, 0.04, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   'no_underlying');
"""


def test_a_filled_database_of_the_first_version_keeps_all_it_knew(empty_database_url):
    command.upgrade(migrate._config(empty_database_url), "0001")
    with engine(empty_database_url).begin() as connection:
        for statement in FILLED.split(";\n"):
            if statement.strip():
                connection.execute(text(statement))
    migrate.migrate(empty_database_url)
    with engine(empty_database_url).connect() as connection:
        forwards = connection.execute(text("SELECT * FROM forwards ORDER BY 1, 3")).mappings().all()
        greeks = connection.execute(text("SELECT * FROM greeks ORDER BY symbol")).mappings().all()
    assert [(f["root"], f["forward_source"], f["forward"]) for f in forwards] == [
        ("AAPL", None, None),  # expired: spot grown by less than no time was no forward
        ("AAPL", "parity", 230.7),
        ("AAPL", "spot", pytest.approx(230 * math.exp(0.008), rel=1e-14)),
        ("XYZ", None, None),
    ]
    assert [f["carry"] for f in forwards] == [
        None,
        pytest.approx(0.04 - math.log(230.7 / 230) / 0.1, rel=1e-12),
        pytest.approx(0, abs=1e-12),
        None,
    ]
    assert {(f["curve_day"], f["pairs"], f["dividends_pv"]) for f in forwards} == {(None, None, 0)}
    assert all(f["years"] == f["clock_years"] and f["rate"] == 0.04 for f in forwards)
    assert {g["model"] for g in greeks} == {"european"}
    assert [(g["iv"], g["iv_gap"], g["flag"]) for g in greeks] == [
        (None, None, "expired"),
        (0.2, pytest.approx(0.01), None),
        (None, None, "no_bid"),
        (0.2, None, None),
        (None, None, "no_underlying"),
    ]
    assert (greeks[1]["delta"], greeks[1]["mid"], greeks[1]["bid_iv"]) == (0.3, 2, None)


def test_creating_a_database_that_exists_changes_nothing(own_database_url):
    migrate.create_database(own_database_url)
    check_schema(own_database_url)
    engine(_home(own_database_url)).dispose()


def test_a_missing_database_is_created_whatever_its_name(own_database_url):
    name = 'odd "name" of 2026'
    url = engine(own_database_url).url.set(database=name).render_as_string(hide_password=False)
    url = url.replace("postgresql+psycopg", "postgresql")
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        check_schema(url)
    migrate.create_database(url)
    migrate.migrate(url)
    check_schema(url)
    engine(url).dispose()
    engine(_home(url)).dispose()


def _home(url):
    home = engine(url).url.set(database="postgres")
    return home.render_as_string(hide_password=False)


def test_an_empty_database_is_named_with_the_remedy(empty_database_url):
    with pytest.raises(WrongSchema) as said:
        check_schema(empty_database_url)
    assert "is at nothing" in str(said.value)
    assert migrate.wanted_revision(empty_database_url) in str(said.value)
    assert str(said.value).endswith("run ./strikeflow database migrate")


def test_a_database_of_another_version_of_the_code_is_refused(own_database_url):
    with transaction(own_database_url) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WrongSchema, match="is at 9999, this code needs"):
        check_schema(own_database_url)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


WRONG_URLS = {
    "nobody listens": f"postgresql://me:{PASSWORD}@127.0.0.1:{{port}}/strikeflow",
    "no such host": f"postgresql://me:{PASSWORD}@no-such-host.invalid/strikeflow",
    "no URL": f"{PASSWORD}",
    "empty": "",
    "a port that is no number": f"postgresql://me:{PASSWORD}@127.0.0.1:port/strikeflow",
    "another product": f"mysql://me:{PASSWORD}@127.0.0.1/strikeflow",
    "a product nobody knows": f"nosuch://me:{PASSWORD}@127.0.0.1/strikeflow",
    "an option nobody knows": f"postgresql://me:{PASSWORD}@127.0.0.1:{{port}}/x?no_such_option=1",
    "an option with a wrong value": f"postgresql://me:{PASSWORD}@127.0.0.1:{{port}}/x?sslmode=odd",
    "a port beyond all ports": f"postgresql://me:{PASSWORD}@127.0.0.1:99999/strikeflow",
    "a zero byte": f"postgresql://me:{PASSWORD}@127.0.0.1:{{port}}/strike%00flow",
}


@pytest.mark.parametrize("ask", [migrate.migrate, migrate.create_database, check_schema])
@pytest.mark.parametrize("why", WRONG_URLS)
def test_a_wrong_own_database_url_is_one_line_without_the_password(why, ask):
    with pytest.raises(DatabaseUnavailable) as said:
        ask(WRONG_URLS[why].format(port=closed_port()))
    line = str(said.value)
    assert "\n" not in line
    assert len(line) < 300
    assert PASSWORD not in line
    assert said.value.__cause__ is None  # nothing that would print it either


def test_a_wrong_password_is_one_line_without_it(own_database_url):
    url = engine(own_database_url).url.set(username="nobody", password=PASSWORD)
    with pytest.raises(DatabaseUnavailable) as said:
        check_schema(url.set(drivername="postgresql").render_as_string(hide_password=False))
    assert PASSWORD not in str(said.value)
    assert "nobody" in str(said.value)
    assert "\n" not in str(said.value)


def test_a_role_that_may_not_create_databases_is_told_so_in_one_line(own_database_url):
    with engine(own_database_url).begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS poor"))
        connection.execute(text("CREATE ROLE poor LOGIN"))
    url = engine(own_database_url).url.set(username="poor", database="not_there")
    address = url.render_as_string(hide_password=False)
    with pytest.raises(DatabaseUnavailable, match="not_there is missing and cannot be made") as no:
        migrate.create_database(address)
    engine(url.set(database="postgres").render_as_string(hide_password=False)).dispose()
    assert len(str(no.value).splitlines()) == 1

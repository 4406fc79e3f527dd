"""The schema in a database is the one in the code, and a database that is not there says so."""

import io
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

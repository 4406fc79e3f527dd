"""A wrong setting stops the start, in one line that names the file and the key."""

from datetime import UTC, date, datetime

import pytest

from tasks import config, context, settings
from tasks.settings import BadSettings


@pytest.fixture
def folder(pipeline_on, simulator):
    """A sound config folder of this test's own, which the pipeline reads."""
    return pipeline_on(simulator).config


def load(folder):
    config.load_config.cache_clear()
    return config.load_config(folder)


def test_the_settings_of_this_repository_are_sound(folder):
    assert load(folder).limits.position_contracts_max > 0


#: What is wrong -> file, what replaces the line of a key (None: the line goes), key.
WRONG_LINES = {
    "a limit is missing": ("limits.toml", "delta_usd_max", None),
    "a limit is text": ("limits.toml", "delta_usd_max", '"50_000"'),
    "a limit is a word": ("limits.toml", "delta_usd_max", "true"),
    "a limit is a list": ("limits.toml", "delta_usd_max", "[1]"),
    "a limit is a date": ("limits.toml", "delta_usd_max", "2026-11-20"),
    "a limit is negative": ("limits.toml", "daily_loss_usd_max", "-1"),
    "a limit is nothing": ("limits.toml", "single_trade_loss_share_max", "0"),
    "a limit is NaN": ("limits.toml", "single_trade_loss_share_max", "nan"),
    "a limit is endless": ("limits.toml", "gamma_usd_max", "inf"),
    "a limit is less than all": ("limits.toml", "gamma_usd_max", "-inf"),
    "a share is above one": ("limits.toml", "concentration_share_max", "10"),
    "contracts are halves": ("limits.toml", "position_contracts_max", "2.5"),
    "a rule is missing": ("strategies.toml", "short_delta_target", None),
    "a rule is text": ("strategies.toml", "short_delta_target", '"0.2"'),
    "a rule is negative": ("strategies.toml", "open_interest_min", "-1"),
    "a rule is NaN": ("strategies.toml", "profit_share_exit", "nan"),
    "a rule is endless": ("strategies.toml", "quote_age_s_max", "inf"),
    "days are halves": ("strategies.toml", "days_to_expiry_exit", "7.5"),
    "a target lies outside": ("strategies.toml", "days_to_expiry_target", "60"),
    "a delta is signed": ("strategies.toml", "short_delta_max", "0.6"),
    "no underlyings": ("universe.toml", "underlyings", "[]"),
    "underlyings are one word": ("universe.toml", "underlyings", '"SPY"'),
    "an underlying is a number": ("universe.toml", "underlyings", "[7]"),
    "an underlying in small letters": ("universe.toml", "underlyings", '["spy"]'),
    "strikes are upside down": ("universe.toml", "strike_share_max", "0.5"),
    "a strike share is NaN": ("universe.toml", "strike_share_min", "nan"),
    "days go backwards": ("universe.toml", "days_to_expiry_max", "-1"),
    "a clock that nobody knows": ("clock.toml", "kind", '"sidereal"'),
    "a clock that is a number": ("clock.toml", "kind", "7"),
    "a clock that is a list": ("clock.toml", "kind", "[]"),
    "a weight above one": ("clock.toml", "closed_weight", "1.5"),
    "a weight below nothing": ("clock.toml", "closed_weight", "-0.1"),
    "a weight that is a word": ("clock.toml", "closed_weight", '"little"'),
    "a weight that is missing": ("clock.toml", "closed_weight", None),
}


@pytest.mark.parametrize("what", WRONG_LINES)
def test_a_wrong_line_is_named_with_its_file_and_key(what, folder):
    file, key, value = WRONG_LINES[what]
    path = folder / file
    lines = path.read_text().splitlines()
    (at,) = [n for n, line in enumerate(lines) if line.startswith(f"{key} =")]
    lines[at] = "" if value is None else f"{key} = {value}"
    path.write_text("\n".join(lines))
    said = refusal_of(folder)
    assert said.startswith(str(path))
    # Of three that must lie in order the message names what they share.
    shared = key.removesuffix("_target").removesuffix("_max")
    assert key in said or shared in said


def refusal_of(folder):
    with pytest.raises(BadSettings) as said:
        load(folder)
    assert "\n" not in str(said.value)
    assert len(str(said.value)) < 900
    return str(said.value)


@pytest.mark.parametrize("file", ["limits.toml", "universe.toml", "strategies.toml", "clock.toml"])
def test_a_key_nobody_knows_is_named_with_its_file(file, folder):
    path = folder / file
    path.write_text(path.read_text() + "\ndelta_usd_mx = 1\n")
    said = refusal_of(folder)
    assert said.startswith(str(path))
    assert "'delta_usd_mx'" in said


FILES = [
    "limits.toml", "universe.toml", "strategies.toml", "clock.toml", "rates.csv", "dividends.csv",
]  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_missing_is_named(file, folder):
    (folder / file).unlink()
    assert str(folder / file) in refusal_of(folder)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "content",
    [b"", b"]] what\n\n", b"\xff\xfe\x00", b"\0"],
    ids=["empty", "odd", "no text", "null"],
)
def test_a_file_that_is_none_of_its_kind_is_named(file, content, folder):
    (folder / file).write_bytes(content)
    assert str(folder / file) in refusal_of(folder)


def test_a_folder_in_a_files_place_is_named(folder):
    (folder / "limits.toml").unlink()
    (folder / "limits.toml").mkdir()
    assert str(folder / "limits.toml") in refusal_of(folder)


@pytest.mark.parametrize(
    "content", ["", "[covered_call]\n", "iron_condor = 3\n", "iron_condor = []"]
)
def test_a_strategies_file_without_its_table_is_named(content, folder):
    (folder / "strategies.toml").write_text(content)
    assert str(folder / "strategies.toml") in refusal_of(folder)


HEAD = "date,m1,m3,m6,y1,y2\n"


@pytest.mark.parametrize(
    "content",
    [
        "date,m1,m3,m6,y1\n2026-11-20,4,4,4,4\n",
        HEAD + "2026-11-20,4,4,four,4,4\n",
        HEAD + "soon,4,4,4,4,4\n",
        HEAD,
        HEAD + "2026-11-20,4,4,,4,4\n",
        HEAD + "2026-11-20,4,4,nan,4,4\n",
        HEAD + "2026-11-20,4,4,inf,4,4\n",
    ],
    ids=["a column less", "a word", "no date", "no row", "a gap", "NaN", "endless"],
)
def test_rates_that_are_none_are_named(content, folder):
    (folder / "rates.csv").write_text(content)
    assert str(folder / "rates.csv") in refusal_of(folder)


PAID = "underlying,ex_date,amount\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("underlying,ex_date\nAAPL,2026-11-09\n", "the column amount is missing"),
        (PAID + "AAPL,2026-11-09,much\n", "AAPL,2026-11-09,much"),
        (PAID + "AAPL,soon,0.26\n", "AAPL,soon,0.26"),
        (PAID + "AAPL,2026-11-08,0.26\n", "nothing trades on 2026-11-08"),
        (PAID + "AAPL,2126-11-08,0.26\n", "outside the calendar"),
        (PAID + "AAPL,2026-11-09,-0.26\n", "above 0"),
        (PAID + "AAPL,2026-11-09,inf\n", "above 0"),
        (PAID + "AAPL,2026-11-09,nan\n", "above 0"),
        (PAID + "AAPL,2026-11-09,\n", "AAPL,2026-11-09,"),
        (PAID + ",2026-11-09,0.26\n", "names no underlying"),
        (PAID + "AAPL\n", "AAPL"),
        (PAID + "AAPL,2026-11-09,0.26,1\nAAPL,2026-11-09,0.26,1,1\n", "needs the columns"),
        (PAID + "AAPL,2026-11-09,0.26\nAAPL,2026-11-09,0.27\n", "AAPL has 2026-11-09 twice"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_dividend_is_named(content, named, folder):
    (folder / "dividends.csv").write_text(content)
    said = refusal_of(folder)
    assert said.startswith(str(folder / "dividends.csv"))
    assert named in said


def test_known_dividends_are_read_and_none_are_shipped(folder):
    assert load(folder).dividends.empty
    (folder / "dividends.csv").write_text("# said by the company\n" + PAID + "AAPL,2026-11-09,0.26")
    (row,) = load(folder).dividends.itertuples(index=False)
    assert tuple(row) == ("AAPL", date(2026, 11, 9), 0.26)


def test_a_wrong_limit_stops_the_cycle_before_anything_is_stored_or_sent(pipeline, simulator):
    pipeline.edit("limits.toml", daily_loss_usd_max="nan")
    with pytest.raises(BadSettings, match="daily_loss_usd_max"):
        pipeline.run_cycle(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    assert all(rows == [] for name, rows in pipeline.contents().items())
    assert simulator.exchange.book.orders == {}


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "STRIKEFLOW_LIVE"]
)
def test_a_setting_that_is_missing_or_wrong_is_named(name, folder, monkeypatch):
    monkeypatch.setenv(name, "perhaps" if name == "STRIKEFLOW_LIVE" else "")
    settings.settings.cache_clear()
    context.broker.cache_clear()
    monkeypatch.setitem(settings.Settings.model_config, "env_file", None)
    with pytest.raises(BadSettings, match=name) as said:
        (settings.settings().required_database_url(), context.broker())
    assert "\n" not in str(said.value)


def test_no_secret_is_in_the_text_of_the_settings(folder):
    shown = repr(settings.settings()) + str(settings.settings())
    assert "SECRET-OF-THIS-TEST" not in shown
    assert "KEY-ID-OF-THIS-TEST" not in shown

"""What the harness itself promises: a seed means one day for ever, every way that needs a day of
its own gets enough of them, a gateway spoils what it is asked to, a database comes back."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import psycopg
import pytest
import requests

from chaos.backup import back_up
from chaos.faults import FAULTS
from chaos.gateway import PAGE, Gateway, Spoil, said
from chaos.plan import plan_of
from chaos.run import stored_seeds
from chaos.shapes import EAGER, GAPS, day_of

APART = sorted(name for name, kind in FAULTS.items() if kind.is_apart)


def test_every_way_that_needs_a_day_of_its_own_has_some_in_three_hundred():
    armed = Counter(fault.kind for seed in range(300) for fault in day_of(seed).faults)
    assert {name: armed[name] for name in APART if armed[name] < 5} == {}


def test_no_fault_is_so_seldom_that_three_hundred_days_may_lack_it():
    armed = Counter(
        FAULTS[kind].number
        for seed in range(900)
        for kind in {fault.kind for fault in day_of(seed).faults}
    )
    numbers = {fault.number for fault in FAULTS.values()}
    assert {number: armed[number] for number in numbers if armed[number] < 3 * 8} == {}


def test_one_day_in_ten_is_followed_by_days_without_a_cycle():
    silent = [plan for seed in range(300) if (plan := day_of(seed)).is_silent]
    assert 20 <= len(silent) <= 40
    assert {(plan.scene.day, plan.scene.next_day) for plan in silent} == set(GAPS)


def test_gaps_are_of_five_to_ten_days():
    assert all(5 <= (second - first).days <= 10 for first, second in GAPS)


def test_a_seed_means_the_same_day_each_time():
    assert [day_of(seed) for seed in range(20)] == [day_of(seed) for seed in range(20)]


def test_a_day_of_dice_alone_has_no_way_that_needs_another():
    kinds = {fault.kind for seed in range(200) for fault in plan_of(seed).faults}
    assert kinds.isdisjoint(APART)


def test_seeds_that_were_stored_before_there_were_shapes_are_what_they_were():
    assert [day_of(seed) for seed in stored_seeds()[:4]] == list(map(plan_of, stored_seeds()[:4]))


def test_settings_of_a_shape_are_settings_that_there_are():
    names = {(file, name) for file, name, _ in plan_of(0).settings}
    extra = {("limits.toml", "same_legs_minutes_min")}
    assert EAGER.keys() <= names | extra


def request(method="POST", path="/v2/orders"):
    return requests.Request(method, f"http://broker.invalid{path}").prepare()


@pytest.fixture
def gateway():
    asked = []

    def send(one):
        asked.append(one)
        return said(one, 200, {"from": "the broker"})

    made = Gateway(broker=SimpleNamespace(send=send), tell=lambda word, text: None)
    return made, asked


def spoil(**more):
    page = Spoil(
        name="a page",
        method="POST",
        path="/v2/orders",
        answer=lambda one, ask: said(one, 404, PAGE),
    )
    return replace(page, **more)


def test_a_spoil_meets_so_many_requests_after_so_many_others(gateway):
    made, asked = gateway
    made.spoils.append(spoil(skip=1, times=2))
    assert [made.send(request()).status_code for _ in range(4)] == [200, 404, 404, 200]
    assert len(asked) == 2
    assert made.spoils == []


def test_a_spoil_meets_no_other_method_and_no_other_path(gateway):
    made, _ = gateway
    made.spoils.append(spoil())
    assert made.send(request("GET")).status_code == 200
    assert made.send(request(path="/v2/orders/1")).status_code == 200
    assert made.spoils[0].fired == 0


def test_where_nothing_is_wrong_the_broker_is_asked_once_and_nothing_is_counted(gateway):
    made, asked = gateway
    made.spoils.append(spoil(answer=lambda one, ask: None))
    assert made.send(request()).json() == {"from": "the broker"}
    assert (len(asked), made.spoils[0].fired) == (1, 0)


def test_a_database_comes_back_as_it_was(own_database_url):
    url = own_database_url.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(url, autocommit=True) as own:
        own.execute(
            "CREATE TABLE parents (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, units int,"
            " twice int GENERATED ALWAYS AS (units * 2) STORED);"
            "CREATE TABLE children (parent_id int REFERENCES parents (id));"
            "INSERT INTO parents (units) VALUES (1), (2); INSERT INTO children VALUES (2)"
        )
        backup = back_up(own)
        own.execute("DELETE FROM children; DELETE FROM parents WHERE id = 2")
        own.execute("INSERT INTO parents (units) VALUES (7), (8); UPDATE parents SET units = 9")
        backup.restore()
        parents = own.execute("SELECT id, units, twice FROM parents ORDER BY 1").fetchall()
        assert parents == [(1, 1, 2), (2, 2, 4)]
        assert own.execute("SELECT * FROM children").fetchall() == [(2,)]
        following = own.execute("INSERT INTO parents (units) VALUES (3) RETURNING id").fetchall()
        assert following == [(3,)]
        schemas = own.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'kept'").fetchall()
        assert schemas == []

"""The simulator's page of the docs says all that can be set, asked and made to go wrong."""

import ast
import re
from dataclasses import fields
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import get_type_hints

import pytest
from starlette.routing import Route, WebSocketRoute

from simulator.__main__ import parser
from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.faults import DEFAULTS, FaultKind
from simulator.profile import Profile
from simulator.sessions import Sessions
from simulator.switches import Switches
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment
from tests.unit.test_simulator_schemas import SHAPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "simulator.md").read_text()
MARKETS = (ROOT / "docs" / "simulator-markets.md").read_text()
SOURCE = (ROOT / "simulator" / "switches.py").read_text()
DAY = date(2026, 11, 20)


def about(name):
    """The comment above a switch, as one line."""
    found = re.search(rf"((?:    #: .*\n)+)    {name}: ", SOURCE)
    return "" if found is None else " ".join(found[1].replace("#:", "").split())


def choices(kind):
    """The values of a switch that has names for them."""
    found = re.search(rf"class {kind.__name__}\(StrEnum\):\n((?:    .*\n)+)", SOURCE)
    told = re.findall(r'= "(\w+)"(?:  # (.*))?', found[1])
    return "; ".join(f"`{word}`: {text}" if text else f"`{word}`" for word, text in told)


def switch_row(field):
    kind = get_type_hints(Switches)[field.name]
    default = str(field.default).lower() if kind is bool else str(field.default)
    meaning = about(field.name)
    assert meaning, f"the switch {field.name} has no comment"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        meaning += f" {choices(kind)}"
    return f"| `{field.name}` | {default} | {meaning} |"


def fault_row(kind):
    told = ", ".join(f"{name} {value:g}" for name, value in DEFAULTS.get(kind, {}).items())
    return f"| `{kind.value}` | {told} | {kind.about} |"


def endpoints():
    """Every method and path that is served; WS is a websocket."""
    sessions = Sessions(DAY, DAY)
    exchange = Exchange(
        Synthetic(DAY, ["AAPL"], 7, sessions),
        sessions,
        account="PAGE",
        cash=Decimal(1),
        start=new_york_moment(DAY, 9, 0),
    )
    found = set()
    for route in create_app(exchange).routes:
        if isinstance(route, WebSocketRoute):
            found.add(("WS", route.path))
        elif isinstance(route, Route):
            found |= {(method, route.path) for method in route.methods - {"HEAD"}}
    return found


def told_endpoints():
    """(method, path) -> shape and test, as the page has them."""
    pattern = r"^\| (GET|POST|PATCH|DELETE|WS) \| `(\S+)` \| `?([^|`]*)`? \| `?([^|`]*)`? \|$"
    rows = re.findall(pattern, PAGE, re.MULTILINE)
    return {(method, path): (shape.strip(), test.strip()) for method, path, shape, test in rows}


@pytest.mark.parametrize("field", fields(Switches), ids=lambda field: field.name)
def test_the_page_tells_every_switch_with_its_default_and_meaning(field):
    assert switch_row(field) in PAGE


@pytest.mark.parametrize("kind", FaultKind)
def test_the_page_tells_every_fault_as_it_is(kind):
    assert fault_row(kind) in PAGE


def test_the_page_tells_every_endpoint_and_no_other():
    assert set(told_endpoints()) == endpoints()


def test_every_endpoint_names_the_shape_of_its_answer_or_the_test_that_covers_it():
    for (method, path), (shape, test) in told_endpoints().items():
        if path in SHAPES and method == "GET":
            assert shape == SHAPES[path][0], path
        assert shape or test, path
        if test:
            file, _, name = test.partition("::")
            tree = ast.parse((ROOT / "tests" / file).read_text())
            names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert name in names, test


def test_the_page_tells_every_option_of_the_command_line():
    for action in parser()._actions:
        for option in action.option_strings:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in PAGE, option


def test_the_page_of_markets_tells_every_key_of_a_profile():
    for field in fields(Profile):
        assert re.search(rf"\b{field.name}\b", MARKETS), field.name

"""Columns of Arrow tables as `domain.greeks_table` takes them, and its answers as columns."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from domain.dividend_columns import (
    AS_TEXT,
    BadSchedule,
    Schedules,
    pairs_to_schedules,
    schedules_to_texts,
    texts_to_schedules,
)
from domain.greeks_table import (
    ANSWERS,
    DIVIDENDS,
    FLAG,
    NUMBERS,
    WORDS,
    BadTable,
    table_to_greeks,
)

#: What people write into a CSV for a number that they do not have.
NO_NUMBER = pa.array(["", "na", "n/a", "nan", "null", "none"])
PAIR = ("years", "amount")


def with_greeks(table: Any, first_row: int, *, is_text: bool) -> Any:
    """`table` with ANSWERS and FLAG added; null where there is no answer.

    first_row  what its first row is called in an error
    is_text    numbers come as text, as in a CSV, and are numbers in what comes back
    """
    if is_text:
        table = _parsed(table, first_row)
    rows = pd.RangeIndex(first_row, first_row + table.num_rows)
    asked = [name for name in (*NUMBERS, *WORDS) if name in table.schema.names]
    columns = {name: _floats(_plain(table[name])).to_pandas().to_numpy() for name in asked}
    found = table_to_greeks(pd.DataFrame(columns, index=rows), _schedules(table, first_row))
    for name in ANSWERS:
        table = table.append_column(name, pa.array(found[name], from_pandas=True))
    return table.append_column(FLAG, pa.array(found[FLAG], type=pa.string(), from_pandas=True))


def without_lists(table: Any) -> Any:
    """`table` as a CSV can hold it: dividends as text, categories as what they stand for."""
    for k, name in enumerate(table.schema.names):
        column = _plain(table[name])
        if name == DIVIDENDS and _is_list(column.type):
            texts = schedules_to_texts(_lists_to_schedules(column, 1))
            column = pa.chunked_array([pa.array(texts, type=pa.string())])
        table = table.set_column(k, name, column)
    return table


def _plain(column: Any) -> Any:
    """Categories as the values that they stand for."""
    is_category = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_category else column


def _floats(column: Any) -> Any:
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


def _parsed(table: Any, first_row: int) -> Any:
    for k, name in enumerate(table.schema.names):
        if name in NUMBERS:
            table = table.set_column(k, name, _parsed_column(table[name], name, first_row))
    return table


def _parsed_column(texts: Any, name: str, first_row: int) -> Any:
    trimmed = pc.utf8_trim_whitespace(texts)
    known = pc.if_else(pc.is_in(pc.utf8_lower(trimmed), NO_NUMBER), None, trimmed)
    try:
        return known.cast(pa.float64())
    except pa.ArrowInvalid:
        values = known.to_pandas()
    numbers = pd.to_numeric(values, errors="coerce")  # reads a few forms more, such as +5
    bad = values[numbers.isna() & values.notna()]
    if bad.empty:
        return pa.chunked_array([pa.array(numbers, type=pa.float64(), from_pandas=True)])
    where = f"says {bad.iloc[0][:30]!r} in row {first_row + int(bad.index[0])}"
    raise BadTable(f"the column {name} {where}: it must be a number ({NUMBERS[name]})")


def _schedules(table: Any, first_row: int) -> Schedules | None:
    if DIVIDENDS not in table.schema.names:
        return None
    column = _plain(table[DIVIDENDS])
    if pa.types.is_null(column.type):
        return None
    if _is_list(column.type):
        return _lists_to_schedules(column, first_row)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise BadTable(f"the column {DIVIDENDS} holds {column.type}: write lists, or {AS_TEXT}")
    try:
        return texts_to_schedules(column.to_pandas())
    except BadSchedule as error:
        raise BadTable(f"the column {DIVIDENDS}, row {first_row + error.row}: {error}") from None


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _lists_to_schedules(column: Any, first_row: int) -> Schedules:
    """Lists of (years, amount), each pair a list of two numbers or a struct of two fields, by their
    names when those are PAIR, else in that order."""
    lists = column.combine_chunks()
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    pairs = lists.flatten()
    try:
        both = _two_numbers(pairs)
    except (pa.ArrowException, ValueError):
        where = f"the column {DIVIDENDS}, from row {first_row} on"
        raise BadTable(f"{where}: a dividend is no pair of years and amount") from None
    return pairs_to_schedules(counts.astype(np.intp), both)


def _two_numbers(pairs: Any) -> Any:
    """Years and amounts, shape (n, 2), NaN where one is missing; ValueError when they are none."""
    if pa.types.is_struct(pairs.type):
        names = [field.name for field in pairs.type]
        order = (
            [names.index(name) for name in PAIR] if set(names) == set(PAIR) else range(len(names))
        )
        fields = pairs.flatten()
        columns = [fields[k] for k in order]
    elif len(pairs) == 0 and pa.types.is_null(pairs.type):
        columns = [pairs, pairs]
    elif _is_list(pairs.type) and pairs.null_count == 0:
        if pc.any(pc.not_equal(pc.list_value_length(pairs), 2)).as_py():
            raise ValueError
        flat = pairs.flatten()
        columns = [flat[0::2], flat[1::2]]
    else:
        raise ValueError
    years, amounts = (c.cast(pa.float64()).to_numpy(zero_copy_only=False) for c in columns)
    return np.column_stack([years, amounts])

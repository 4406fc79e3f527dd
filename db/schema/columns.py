"""What every table shares: the metadata, the types of money and time, small checks."""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    MetaData,
    Numeric,
)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_key",
        "uq": "%(table_name)s_one_%(column_0_N_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

PRICE = Numeric(12, 4)
STRIKE = Numeric(12, 3)
USD = Numeric(16, 2)
#: A share is traded in as little as a billionth.
SHARES = Numeric(22, 9)
INSTANT = DateTime(timezone=True)


def one_of(column: str, words: type[StrEnum] | Iterable[str]) -> CheckConstraint:
    """`column` holds one of `words`."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_is_known")


def identity() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def account_id(primary_key: bool = False) -> Column[int]:
    return Column("account_id", ForeignKey("accounts.id"), primary_key=primary_key, nullable=False)


def cycle_id(primary_key: bool = False) -> Column[int]:
    return Column("cycle_id", ForeignKey("cycles.id"), primary_key=primary_key, nullable=False)

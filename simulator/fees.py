"""What regulators and the clearing house take for a day's fills. A paper account pays none.

Rates are those of docs.alpaca.markets/docs/regulatory-fees; each kind is summed over the day and
rounded up to the cent.
"""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from simulator.book import Activity
from simulator.margin import SHARES
from simulator.rows import Clerk
from simulator.symbols import is_option_symbol

ORF_USD = Decimal("0.02685")  # a contract
OCC_USD = Decimal("0.02")  # a contract
OCC_USD_MAX = Decimal(55)  # a trade: 2,750 contracts
TAF_USD = Decimal("0.00279")  # a contract sold
TAF_SHARE_USD = Decimal("0.000166")  # a share sold
TAF_SHARE_USD_MAX = Decimal("8.30")  # a trade: 50,000 shares
CAT_USD = Decimal("0.000046")  # a share; a contract counts as 100
REG_RATE = Decimal("0.0000278")  # of what a sale brings
CENT = Decimal("0.01")


def charge(clerk: Clerk) -> None:
    """Take the day's fees from the cash, one row a kind."""
    fills = [done for done in clerk.book.activities if _is_fill_of(done, clerk)]
    for kind, amount in sorted(totals(fills).items()):
        owed = amount.quantize(CENT, rounding=ROUND_CEILING)
        clerk.book.cash -= owed
        text = f"{kind} fee for {len(fills)} trades on {clerk.day}"
        clerk.write("FEE", "", sub_kind=kind, net_usd=-owed, description=text)


def totals(fills: Iterable[Activity]) -> dict[str, Decimal]:
    """USD by kind, exact; a kind that costs nothing is left out."""
    found: dict[str, Decimal] = {}
    for done in fills:
        for kind, amount in _of(done).items():
            found[kind] = found.get(kind, Decimal(0)) + amount
    return {kind: amount for kind, amount in found.items() if amount}


def _of(done: Activity) -> dict[str, Decimal]:
    is_option, is_sale = is_option_symbol(done.symbol), done.side != "buy"
    shares = done.qty * SHARES if is_option else done.qty
    fees = {"CAT": CAT_USD * shares}
    if is_option:
        fees |= {"ORF": ORF_USD * done.qty, "OCC": min(OCC_USD * done.qty, OCC_USD_MAX)}
    if is_sale:
        fees["REG"] = REG_RATE * shares * (done.price or Decimal(0))
        per_share = min(TAF_SHARE_USD * done.qty, TAF_SHARE_USD_MAX)
        fees["TAF"] = TAF_USD * done.qty if is_option else per_share
    return fees


def _is_fill_of(done: Activity, clerk: Clerk) -> bool:
    return done.kind == "FILL" and done.counts and done.day == clerk.day

"""When the options of a root stop trading and settle, where that is not the close of the market.

Facts of the market, as data with their source. The key is the root of the option's symbol, SPXW
rather than SPX: two roots on one index may settle differently. An exchange that announces a change
is a line here.
"""

#: Minutes after the regular close at which the LATE options close: 16:15, on a half day 13:15.
LATE_MINUTES = 15

#: Funds whose options trade a quarter of an hour past the close, on their last day as on any other,
#: as the index futures do that hedge them. Every other option on a share or fund closes with the
#: market.
#: Sources, read November 2026: Cboe rule 5.1(b), before 2019 rule 6.1.03 (SR-CBOE-2017-056), lets
#: options on designated funds close at 16:15. The designated funds are those that two brokers'
#: lists agree on (Firstrade, help article 833; IG, "Options that trade until 3:15 Central"), and
#: XLC and XLRE, where the second names only the nine older sector funds. Both lists make one
#: exception on the last day: cash-settled indices. Half days: "eligible options will trade until
#: 1:15 PM" (Theta Data, calendar).
# fmt: off
LATE = frozenset({
    "DBA", "DBB", "DBC", "DBO", "DIA", "EEM", "EFA", "IWM", "IWN", "IWO", "IWV", "KBE", "KRE",
    "MDY", "MOO", "OEF", "QQQ", "SLX", "SPY", "SVXY", "UNG", "UUP", "UVIX", "UVXY", "VIXM",
    "VIXY", "VXX", "VXZ", "XHB", "XLB", "XLC", "XLE", "XLF", "XLI", "XLK", "XLP", "XLRE", "XLU",
    "XLV", "XLY", "XME", "XRT",
})
# fmt: on

#: Index options settled to the opening prices of their last day. They trade for the last time on
#: the session before; their value stays open until the morning.
#: Source: Cboe's and Nasdaq's contract specifications ("A.M.-settled").
#: The other index roots (SPXW, XSP, NDXP, RUTW, OEX, XEO) settle to the close. On other days they
#: trade until 16:15, but on their last day until 16:00 only, so they need no entry.
AM_SETTLED = frozenset({"SPX", "NDX", "RUT", "DJX", "VIX", "VIXW"})


def is_late(root: str) -> bool:
    """Whether trading ends LATE_MINUTES past the close; an adjusted root (SPY1) trades likewise.

    >>> is_late("SPY1"), is_late("AAPL")
    (True, False)
    """
    return root.rstrip("0123456789") in LATE


def is_am_settled(root: str) -> bool:
    """Whether the option settles to the opening prices of its last day.

    >>> is_am_settled("SPX"), is_am_settled("SPXW")
    (True, False)
    """
    return root in AM_SETTLED

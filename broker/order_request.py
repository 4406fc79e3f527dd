"""An intent as the request that alpaca-py sends."""

from decimal import Decimal
from typing import Any

from alpaca.trading.enums import OrderClass, OrderSide, PositionIntent, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, OptionLegRequest

from domain.orders import OrderIntent


def limit_order(intent: OrderIntent, limit: Decimal) -> LimitOrderRequest:
    """A day limit order: a package as multi-leg, a single leg as a simple order, whose limit has no
    sign: its side says who pays."""
    common: dict[str, Any] = {
        "qty": intent.quantity,
        "limit_price": float(
            limit if len(intent.legs) > 1 else abs(limit)
        ),  # whole cents: the shortest float is exact
        "time_in_force": TimeInForce.DAY,
        "client_order_id": intent.client_order_id,
    }
    if len(intent.legs) == 1:
        leg = intent.legs[0]
        return LimitOrderRequest(
            **common,
            symbol=leg.symbol,
            side=OrderSide(leg.side),
            position_intent=PositionIntent(leg.position_intent(intent.purpose)),
        )
    legs = [
        OptionLegRequest(
            symbol=leg.symbol,
            ratio_qty=leg.ratio,
            side=OrderSide(leg.side),
            position_intent=PositionIntent(leg.position_intent(intent.purpose)),
        )
        for leg in intent.legs
    ]
    return LimitOrderRequest(**common, order_class=OrderClass.MLEG, legs=legs)

"""An intent as the request that alpaca-py sends, and whether an order is what was asked for."""

from decimal import Decimal
from typing import Any

from alpaca.trading.enums import OrderClass, OrderSide, PositionIntent, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, OptionLegRequest

from broker.parse import BadBody
from domain.orders import OrderIntent
from domain.records import Order


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


def as_asked(order: Order, intent: OrderIntent) -> Order:
    """The order when it is the one that was asked for; BadBody says what is another's."""
    under(order, intent.client_order_id)
    if order.quantity != intent.quantity:
        raise BadBody(f"{order.quantity} units were answered, not {intent.quantity}")
    asked = {(leg.symbol, leg.side) for leg in intent.legs}
    # One leg is the order itself; the legs of a package that lists none are read back later.
    listed = order.legs or ((order,) if order.symbol else ())
    there = {(leg.symbol, leg.side) for leg in listed}
    if there and there != asked:
        raise BadBody(f"an order of {sorted(map(str, there))} was answered")
    return order


def under(order: Order, client_order_id: str) -> Order:
    """The order when it is under this id; BadBody when it is another's."""
    if order.client_order_id != client_order_id:
        raise BadBody(f"it is about the order {order.client_order_id}")
    return order

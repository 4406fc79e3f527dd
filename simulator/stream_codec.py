"""Frames of the streams as bytes or text, and back."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import msgpack

from simulator.times import rfc3339

Frame = object
Wire = bytes | str


class Garbled(ValueError):
    """A message that is not in this stream's format; `is_format` when it is in another one."""

    def __init__(self, *, is_format: bool = False) -> None:
        super().__init__("not a message of this stream")
        self.is_format = is_format


@dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """How one connection writes and reads."""

    encode: Callable[[Frame], Wire]
    decode: Callable[[Wire], object]


def to_json(frame: Frame) -> str:
    """Moments of market data as RFC 3339 text."""
    return json.dumps(_with_moments(frame, rfc3339), allow_nan=False, separators=(",", ":"))


def to_json_bytes(frame: Frame) -> bytes:
    return to_json(frame).encode("ascii")


def to_msgpack(frame: Frame) -> bytes:
    """Moments of market data as MessagePack timestamps, to the nanosecond."""
    shown = _with_moments(frame, msgpack.Timestamp.from_unix_nano)
    return cast(bytes, msgpack.packb(shown))


def _with_moments(frame: Frame, written: Callable[[int], object]) -> Frame:
    """`t` is the only key that holds a moment; trade updates have text already."""
    if not isinstance(frame, list):
        return frame
    return [
        {**message, "t": written(message["t"])} if "t" in message else message for message in frame
    ]


def from_json(raw: Wire) -> object:
    """Of text or bytes alike; Garbled."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Garbled from None


def from_msgpack(raw: Wire) -> object:
    """Garbled for text, with is_format: it is no MessagePack at all."""
    if isinstance(raw, str):
        raise Garbled(is_format=True)
    try:
        return msgpack.unpackb(raw)
    except (ValueError, msgpack.UnpackException):
        raise Garbled(is_format=raw[:1] == b"{") from None


def _refuse(_raw: Wire) -> object:
    raise Garbled(is_format=True)


JSON_TEXT = Codec(encode=to_json, decode=from_json)
JSON_BINARY = Codec(encode=to_json_bytes, decode=from_json)
MSGPACK = Codec(encode=to_msgpack, decode=from_msgpack)
#: For a client that asks for JSON where there is none: whatever it says is error 412.
MSGPACK_ONLY = Codec(encode=to_msgpack, decode=_refuse)

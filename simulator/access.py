"""Who may ask: the keys of a request, in whichever of the three ways a client sends them."""

import secrets
from base64 import b64decode
from collections.abc import Mapping

Keys = tuple[str | None, str | None]


def may_ask(headers: Mapping[str, str], wanted: Keys) -> bool:
    """Any keys will do where none are wanted; a bearer token then counts as both."""
    return fits(_given(headers), wanted)


def fits(given: tuple[str, str], wanted: Keys) -> bool:
    """Whether a key and its secret are the account's."""
    return all(given) and all(
        right is None or secrets.compare_digest(got.encode(errors="surrogatepass"), right.encode())
        for got, right in zip(given, wanted, strict=True)
    )


def _given(headers: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, rest = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest, rest
    if scheme.lower() == "basic":
        try:
            key, _, secret = b64decode(rest, validate=True).decode().partition(":")
        except ValueError:  # neither base64 nor text
            return "", ""
        return key, secret
    return headers.get("APCA-API-KEY-ID", ""), headers.get("APCA-API-SECRET-KEY", "")

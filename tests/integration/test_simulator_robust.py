"""A real server on loopback outlives whatever is sent to it, and answers as the broker would."""

import http.client
import json
import socket
from urllib.parse import quote, urlsplit

import pytest

from simulator.app import DATA_READS, TRADING_READS

KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
IS_DATA = ("/v1beta1/", "/v1/", "/v2/stocks")
ODD_NAMES = ["x", "%00", quote("é"), quote("💥"), quote("a b"), "%2e%2e", "A" * 3000, "%ff%fe"]
ODD_QUERIES = [
    "symbols=AAPL&symbols=ZZZ",
    "symbols=" + ",".join(["AAPL"] * 5000),
    "symbols=" + quote("\uff21\uff21\uff30\uff2c,💥,\u202e,\0"),
    "limit=99999999999999999999999&symbols=AAPL",
    "limit=%D9%A1&symbols=AAPL&timeframe=1Min",
    "page_token=" + "A" * 8000,
    "page_token=" + quote("////+==") + "&symbols=AAPL&timeframe=1Day",
    "start=0001-01-01&end=9999-12-31&symbols=AAPL&timeframe=1Min",
    "start=1970-01-01T00:00:00Z&symbols=AAPL&timeframe=1Min&limit=10000",
    "start=2199-01-01&symbols=AAPL&timeframe=12Month",
    "end=0001-01-01T00:00:00Z&symbols=AAPL&timeframe=1Hour",
    "start=0001-01-01T00:00:00%2B14:00&end=9999-12-31T23:59:59-14:00&symbols=AAPL&timeframe=1D",
    "updated_since=0001-01-01T00:00:00Z&limit=" + "9" * 5000,
    "since=&until=&after=2026-02-30&date=x",
    "strike_price_gte=1e999&strike_price_lte=-1e999",
    "%=%&&&==&symbols",
    "expiration_date=2026-13-45&expiration_date_lte=2026-1-1",
    "nested=perhaps&show_deliverables=perhaps&ppind=2",
    "time=9999-12-31T23:59:59Z&markets=MOON",
]
ODD_BODIES = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe\x00", b'{"qty":1e999}', b'{"a":' * 50_000,
    b'{"symbol":{},"qty":[],"side":1,"type":null,"time_in_force":true,"legs":{"0":1}}',
    b'{"symbol":"\\ud83d","qty":"1","side":"buy","type":"market","time_in_force":"day"}',
    b'{"symbol":"AAPL","symbol":"AAPL","qty":"-0","side":"buy"}',
    b'{"now":"9999-12-31T00:00:00Z"}', b" " * 2_000_000,
]  # fmt: skip
VERBS = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE", "TRACE", "BREW"]


class Peer:
    """Talks HTTP without a client's opinion."""

    def __init__(self, url):
        self.address = urlsplit(url).netloc

    def ask(self, verb, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            connection.request(verb, path, body, KEYS)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def send(self, raw):
        """What comes back for bytes that need not be HTTP; nothing when it hangs up on them."""
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as plug:
            try:
                plug.sendall(raw)
                plug.shutdown(socket.SHUT_WR)
                return plug.recv(65536)
            except OSError:
                return b""


@pytest.fixture
def peer(simulator):
    talker = Peer(simulator.url)
    yield talker
    status, body = talker.ask("GET", "/sim/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")


def check(mistakes, verb, path, answer):
    status, body = answer
    assert status < 500, (verb, path)
    if status >= 400 and verb != "HEAD":
        shape = "data_error" if path.startswith(IS_DATA) else "trading_error"
        assert mistakes(shape, json.loads(body)) == [], (verb, path)


def test_every_verb_on_every_path_is_answered(peer, mistakes):
    paths = [path.replace("{name}", "AAPL") for path in [*TRADING_READS, *DATA_READS]]
    for path in [*paths, "/", "/v2", "/v2/none", "/v1beta1/none", "/v2/stocks", "//v2/account"]:
        for verb in VERBS:
            if not path.startswith("/sim/"):
                check(mistakes, verb, path, peer.ask(verb, path))
    status, body = peer.ask("HEAD", "/v2/clock")
    assert (status, body) == (200, b"")
    status, body = peer.ask("PUT", "/v1beta1/options/bars")
    assert (status, json.loads(body)) == (404, {"message": "endpoint not found"})


def test_odd_names_and_questions_are_answered(peer, mistakes):
    for path in [*TRADING_READS, *DATA_READS]:
        names = ODD_NAMES if "{name}" in path else [""]
        for name in names:
            asked = path.replace("{name}", name)
            check(mistakes, "GET", asked, peer.ask("GET", asked))
        for query in ODD_QUERIES:
            asked = f"{path.replace('{name}', 'AAPL')}?{query}"
            check(mistakes, "GET", asked, peer.ask("GET", asked))


def test_odd_bodies_are_answered(peer, mistakes):
    for body in ODD_BODIES:
        answer = peer.ask("POST", "/v2/orders", body)
        assert 400 <= answer[0] < 500
        check(mistakes, "POST", "/v2/orders", answer)
        for verb in ("PATCH", "PUT", "DELETE", "GET"):
            for path in ("/v2/orders/x", "/v2/account/configurations", "/v2/positions/AAPL"):
                check(mistakes, verb, path, peer.ask(verb, path, body))


def test_what_is_not_http_does_not_stop_it(peer):
    for raw in (b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"):
        assert b" 500 " not in peer.send(raw)
    long = b"GET /v2/stocks/bars?symbols=" + b"A" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b" 500 " not in peer.send(long)
    head = b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    assert b" 500 " not in peer.send(head)


def test_a_client_that_hangs_up_within_its_body_is_no_error_of_the_server(peer, caplog):
    head = (
        b"POST /v2/orders HTTP/1.1\r\nHost: x\r\nAPCA-API-KEY-ID: k\r\nAPCA-API-SECRET-KEY: s\r\n"
    )
    peer.send(head + b"Content-Length: 1000\r\n\r\n{")
    peer.ask("GET", "/v2/clock")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []

"""The pattern match of a response against llhttp."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadtests.stores.http.response import BadResponse, HeadPattern, Incoming, Response
from tests.stores.hostile import ok


def by_llhttp(data: bytes) -> Response | None:
    """What llhttp makes of exactly these bytes: one whole response, or None."""
    incoming = Incoming()
    try:
        return incoming.response() if incoming.feed(data) else None
    except BadResponse:
        return None


names = st.sampled_from(
    [
        b"Server",
        b"Date",
        b"x-amzn-RequestId",
        b"X-Amz-Crc32",
        b"Connection",
        b"Keep-Alive",
        b"Transfer-Encoding",
        b"Content-Encoding",
        b"content-LENGTH",
        b"Upgrade",
        b"Trailer",
    ]
)
values = st.sampled_from(
    [b"", b"keep-alive", b"close", b"chunked", b"identity", b"gzip", b"7", b"12345", b"TLS/1.0"]
) | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(
    lambda text: text.strip().encode()
)
bodies = st.binary(max_size=60)


@st.composite
def responses(draw: st.DrawFn, given_names: list[bytes] | None = None) -> bytes:
    body = draw(bodies)
    known = given_names if given_names is not None else draw(st.lists(names, max_size=4))
    lines = [name + b": " + draw(values) for name in known]
    lines.insert(len(known) // 2, b"Content-Length: %d" % len(body))
    return b"HTTP/1.1 200 OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A response, and another of the same headers with some values changed and bytes spoilt."""
    known = draw(st.lists(names, max_size=4))
    first = draw(responses(known))
    second = bytearray(draw(responses(known)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(second)))
        what = draw(
            st.sampled_from(
                [
                    b"",
                    b"\r\n",
                    b"\n",
                    b" ",
                    b"\t",
                    b"0",
                    b"9",
                    b"\x00",
                    b"\xff",
                    b":",
                    b"\r\nContent-Length: 1",
                    b"\r\n\r\n",
                ]
            )
        )
        second[at : at + draw(st.integers(0, 2))] = what
    return first, bytes(second)


@settings(max_examples=600)
@given(pairs())
@example((ok(b"{}"), ok(b"{}") + b"x"))
@example((ok(b"{}"), ok(b"{}")[:-1]))
@example((ok(b"{}", b"Connection: keep-alive"), ok(b"{}", b"Connection: close")))
@example((ok(b"{}", b"Content-Encoding: identity"), ok(b"{}", b"Content-Encoding: gzip")))
@example((ok(b"{}", b"x-amz-crc32: 1"), ok(b"{}", b"x-amz-crc32: one")))
def test_what_the_pattern_parses_llhttp_parses_alike(pair: tuple[bytes, bytes]) -> None:
    first, second = pair
    known = by_llhttp(first)
    pattern = HeadPattern.of(first) if known and known.status == 200 and known.keep_alive else None
    parsed = pattern.parse(second) if pattern else None
    if parsed is not None:
        assert parsed == by_llhttp(second)


@given(bodies, bodies, st.integers(0, 2**32 - 1), st.text("abcdef0123456789", max_size=50))
def test_the_next_response_of_the_same_form_is_parsed(
    body: bytes, other: bytes, crc32: int, request_id: str
) -> None:
    def response(content: bytes, checksum: int, name: str) -> bytes:
        return ok(
            content,
            b"Connection: keep-alive",
            b"x-amzn-RequestId: " + name.encode(),
            b"x-amz-crc32: %d" % checksum,
        )

    pattern = HeadPattern.of(response(body, 7, "first"))
    assert pattern is not None
    assert pattern.parse(response(other, crc32, request_id)) == Response(200, other, crc32, True)


@given(responses(), st.lists(st.integers(1, 40), max_size=30))
def test_pieces_make_no_difference(data: bytes, sizes: list[int]) -> None:
    whole = by_llhttp(data)
    incoming, at = Incoming(), 0
    try:
        for size in [*sizes, len(data)]:
            piece, at = data[at : at + size], at + size
            if piece:
                incoming.feed(piece)
    except BadResponse:
        assert whole is None
    else:
        assert (incoming.response() if incoming.complete else None) == whole


@pytest.mark.parametrize(
    "data",
    [
        ok(b"{}").replace(b"200 OK", b"400 Bad Request"),
        ok(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"),
        ok(b"{}").replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        ok(b"{}", b"Content-Length: 2"),
        ok(b"{}", b"Transfer-Encoding: identity"),
        ok(b"{}", b"x-amz-crc32: 1", b"x-amz-crc32: 2"),
    ],
)
def test_unusual_responses_have_no_pattern(data: bytes) -> None:
    assert HeadPattern.of(data) is None

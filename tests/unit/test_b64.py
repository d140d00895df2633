"""Base64: the fast way and the standard library's give the same, and refuse the same."""

import base64
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner import b64

TEXTS = st.one_of(
    st.binary(max_size=40).map(base64.b64encode),
    st.text(alphabet="AQg+/=-_\n ", max_size=12).map(str.encode),
    st.binary(max_size=8),
)


@pytest.fixture(params=["pybase64", "binascii"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "binascii":
        monkeypatch.setitem(sys.modules, "pybase64", None)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 100_000, 100_001])
def test_there_and_back(size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    text = b64.encode(memoryview(data))
    assert text == base64.b64encode(data)
    assert len(text) == b64.encoded_length(size)
    assert b64.decode(memoryview(text)) == data


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("text", [b"A", b"AA", b"AAA", b"AA==x", b"AA\n==", b"AA-_", b"A===", b"====", b"AAAA\n"])
def test_what_is_no_base64_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the two libraries word it differently
        b64.decode(text)


@given(TEXTS)
def test_both_ways_agree(text: bytes) -> None:
    def outcome() -> bytes | None:
        try:
            return b64.decode(text)
        except ValueError:
            return None

    fast = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pybase64", None)
        assert outcome() == fast

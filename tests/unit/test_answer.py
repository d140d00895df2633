"""Answers of servers, ours and others': what is taken out before parsing is what parsing would have given."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limner import answer

BIG = base64.b64encode(bytes(range(256)) * 8).decode()
TEXTS = st.one_of(
    st.just(BIG),
    st.binary(min_size=answer.SHORTEST, max_size=answer.SHORTEST + 50).map(
        lambda data: base64.b64encode(data).decode()
    ),
    st.text(max_size=20),
    # What looks like a key, or like the end of a text.
    st.text(alphabet='"\\b64_json:,{}[] /', max_size=40),
    st.just(f'x","b64_json":"{BIG}"'),
    st.just(BIG[:-4] + "/+/="),
    st.just(BIG + "\n" + BIG),
)
KEYS = st.one_of(st.just("b64_json"), st.just('"b64_json'), st.just("data"), st.just("url"), st.text(max_size=8))
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
WAYS = st.sampled_from(
    [
        {},
        {"ensure_ascii": False},
        {"separators": (",", ":")},
        {"indent": 2},
        {"sort_keys": True},
        {"separators": (" ,\n", "\t:\r\n ")},
    ]
)


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: each_text(each, change) for name, each in value.items()}
    return [each_text(each, change) for each in value] if isinstance(value, list) else value


def restored(read: answer.Answer) -> Any:
    """The document with the pictures' texts in it again."""

    def back(text: str) -> str:
        return base64.b64encode(read.pictures[text]).decode() if text in read.pictures else text

    return plain(each_text(read.document, back))


def plain(document: Any) -> Any:
    """With one spelling of base64 whose last bits, which mean nothing, are not zero."""

    def spelt(text: str) -> str:
        if len(text) < answer.SHORTEST:
            return text
        try:
            return base64.b64encode(base64.b64decode(text, validate=True)).decode()
        except ValueError:
            return text

    return each_text(document, spelt)


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS, WAYS, st.booleans())
@example({"data": [{"b64_json": BIG}, {"b64_json": BIG}]}, {}, True)
@example({'"b64_json': BIG, "b64_json": BIG}, {}, False)
def test_it_reads_what_json_reads(document: Any, way: dict[str, Any], slashes: bool) -> None:
    text = json.dumps(document, **way)
    if slashes:
        # As PHP and others write them.
        text = text.replace("/", "\\/")
    body = text.encode("utf-8", errors="surrogatepass")
    assert restored(answer.read(body)) == plain(json.loads(body))


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, st.integers(0, 10_000), st.binary(max_size=3))
def test_it_refuses_what_json_refuses(document: Any, at: int, junk: bytes) -> None:
    body = json.dumps({"data": [{"b64_json": BIG}, document]}).encode()
    broken = body[:at] + junk + body[at + 1 :]
    try:
        wanted = plain(json.loads(broken))
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - the parser's own
            answer.read(broken)
    else:
        assert restored(answer.read(broken)) == wanted


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_other_encodings_of_json_too(encoding: str) -> None:
    body = json.dumps({"data": [{"b64_json": BIG}]}).encode(encoding)
    assert restored(answer.read(body)) == plain(json.loads(body))


def test_the_parser_never_sees_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    loads = json.loads

    def spied(text: bytes) -> Any:
        seen.append(len(text))
        return loads(text)

    monkeypatch.setattr(answer.json, "loads", spied)
    data = bytes(300_000)
    text = base64.b64encode(data).decode()
    read = answer.read(
        loads_body := json.dumps({"data": [{"seed": 1, "b64_json": text}] * 3, "b64_json": text}).encode()
    )
    assert [read.picture(item["b64_json"]) for item in read.document["data"]] == [data] * 3
    assert len(loads_body) > 1_000_000
    assert seen[0] < 1000


@pytest.mark.parametrize(
    "text", [BIG, f"data:image/png;base64,{BIG}", "\n".join(BIG[at : at + 76] for at in range(0, len(BIG), 76)), "QUJD"]
)
def test_pictures_in_every_form(text: str) -> None:
    read = answer.read(json.dumps({"data": [{"b64_json": text}]}).encode())
    wanted = base64.b64decode("".join(text.rpartition(",")[2].split()))
    assert read.picture(read.document["data"][0]["b64_json"]) == wanted


@pytest.mark.parametrize("value", [None, 1, ["QUJD"], "no base64!", "é" * 2000, "A" * 2001])
def test_what_is_no_picture(value: object) -> None:
    read = answer.read(json.dumps({"data": [{"b64_json": value}]}).encode())
    with pytest.raises(ValueError):  # noqa: PT011 - several libraries word it
        read.picture(read.document["data"][0]["b64_json"])

"""multipart/form-data, as clients send pictures: a body that is in memory already, to text fields and files."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limner.errors import InvalidRequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 100
# Of one part; the parser bounds the length of each.
MAX_PART_HEADERS = 8
# A text field: the longest prompt, each character in four bytes.
MAX_TEXT = 128_000


@dataclass
class Part:
    """One part of the form."""

    name: str = ""
    # What the client calls the file; None for a text field.
    filename: str | None = None
    data: bytearray = field(default_factory=bytearray, repr=False)

    def text(self) -> str:
        """The field's value.

        Raises:
            InvalidRequestError: too long, or not UTF-8.
        """
        if len(self.data) > MAX_TEXT:
            raise InvalidRequestError(f"{self.name} may have at most {MAX_TEXT} bytes.", param=self.name)
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError(f"{self.name} must be UTF-8 text.", param=self.name) from None


def parts_of(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form, in order.

    Raises:
        InvalidRequestError: not a whole form, or one with too many parts or headers.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise _broken("its Content-Type names no boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks(), max_header_count=MAX_PART_HEADERS)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise _broken("a part does not begin or end as it should") from None
    if not reader.ended:
        raise _broken("it ends in the middle of a part")
    return reader.parts


def _broken(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The body is not valid multipart/form-data: {why}.", code="invalid_multipart")


class _Reader:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self.parts[-1].data.extend(data[start:end]),
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._named,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise InvalidRequestError(f"A form may have at most {MAX_PARTS} parts.", code="invalid_multipart")
        self.parts.append(Part())

    def _header(self) -> None:
        from python_multipart.multipart import parse_options_header

        if bytes(self._name).lower() == b"content-disposition":
            kind, options = parse_options_header(bytes(self._value))
            if kind == b"form-data":
                part = self.parts[-1]
                part.name = options.get(b"name", b"").decode(errors="replace")
                part.filename = _decoded(options.get(b"filename"))
        self._name.clear()
        self._value.clear()

    def _named(self) -> None:
        if not self.parts[-1].name:
            raise _broken("a part has no name")

    def _end(self) -> None:
        self.ended = True


def _decoded(value: Any) -> str | None:
    return None if value is None else value.decode(errors="replace")

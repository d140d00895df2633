"""Base64 by SIMD instructions where pybase64 is installed; by the standard library, many times slower, where it is not.

Both give the same bytes and refuse the same text.
"""

import binascii

Data = bytes | bytearray | memoryview


def encode(data: Data) -> bytes:
    """The base64 text of `data`, padded, without line breaks."""
    try:
        import pybase64
    except ImportError:
        return binascii.b2a_base64(data, newline=False)
    return pybase64.b64encode(data)


def decode(text: Data) -> bytes:
    """The bytes that base64 `text` stands for.

    Raises:
        ValueError: it is not padded base64 of the standard alphabet, without anything else in it.
    """
    try:
        import pybase64
    except ImportError:
        return binascii.a2b_base64(text, strict_mode=True)
    return pybase64.b64decode(text, validate=True)


def encoded_length(size: int) -> int:
    """How long the text of `size` bytes is."""
    return 4 * -(-size // 3)

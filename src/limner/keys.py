"""Keys that callers must send: read from a setting or from a file, and checked that a header can carry them."""

from pathlib import Path

from limner.errors import InvalidRequestError


def read_key(name: str, plain: str, file: Path | None) -> str | None:
    """The key that the setting `name` holds as `plain`, or that `file` holds; None when there is none.

    Raises:
        InvalidRequestError: the file cannot be read or is empty, both are set, or no header can carry the key.
    """
    plain = plain.strip()
    if file is None:
        return _sendable(plain, name) if plain else None
    param = f"{name}_file"
    if plain:
        raise InvalidRequestError(f"Set {name} or {param}, not both.", param=param)
    try:
        kept = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{param} {file} cannot be read: {error}.", param=param) from None
    if not kept:
        raise InvalidRequestError(f"{param} {file} is empty.", param=param)
    return _sendable(kept, param)


def _sendable(key: str, param: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InvalidRequestError(
            f"{param} must be printable ASCII without spaces: no HTTP header can carry another key.", param=param
        )
    return key

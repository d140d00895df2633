"""Runs deeds one after another and prints, as one JSON object, what each gave or raised. Standard library only."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any


def report(deeds: Mapping[str, Callable[[], Any]]) -> None:
    """{name: {"gave": ...}} or {name: {"threw": {"class", "message", "status"}}} on stdout."""
    found: dict[str, Any] = {}
    for name, deed in deeds.items():
        try:
            found[name] = {"gave": deed()}
        # What it raised is what the test looks at, whatever it is.
        except Exception as error:  # noqa: BLE001
            status = getattr(error, "status_code", None) or getattr(
                getattr(error, "response", None), "status_code", None
            )
            found[name] = {"threw": {"class": type(error).__name__, "message": str(error), "status": status}}
    json.dump(found, sys.stdout)

"""/docs: the API's description as a page of our own, which works without the internet and runs no inline script."""

from importlib.resources import files

from fastapi import APIRouter, Response

from limner.errors import NotFoundError

router = APIRouter(include_in_schema=False)
TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
ASSETS = ("docs.js", "docs.css")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@router.get("/docs")
@router.get("/docs/")
async def page() -> Response:
    """The page."""
    return _file("docs.html")


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """Its script and its style."""
    if name not in ASSETS:
        raise NotFoundError(f"The documentation has no file {name[:80]!r}.")
    return _file(name)


def _file(name: str) -> Response:
    data = (files("limner.server") / "docs_page" / name).read_bytes()
    return Response(data, headers=HEADERS | {"content-type": TYPES[name.rpartition(".")[2]]})

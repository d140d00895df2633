"""Web servers on this machine's loopback addresses, as strangers' URLs may name them."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# From a path to what is answered: status, headers, body; or to something that writes the answer itself.
Pages = Mapping[str, "tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]"]


class Site:
    """A server, and the headers of every request that came; `connections` counts those that were made at all."""

    def __init__(self, server: ThreadingHTTPServer, scheme: str) -> None:
        self.port = int(server.server_address[1])
        self.url = f"{scheme}://{server.server_address[0]!s}:{self.port}"
        self.asked: list[dict[str, str]] = []
        self.connections = 0


@contextlib.contextmanager
def site(pages: Pages, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve `pages` until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            there.connections += 1
            super().setup()

        def do_GET(self) -> None:
            there.asked.append({name.lower(): value for name, value in self.headers.items()})
            page = pages.get(self.path, (404, {}, b"not here"))
            if callable(page):
                self.close_connection = True
                page(self)
                return
            status, headers, body = page
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            # A client that hangs up is what some tests are about.
            pass

    with Server((address, port), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        there = Site(server, "https" if tls else "http")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield there
        finally:
            server.shutdown()
            thread.join()

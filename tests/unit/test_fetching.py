"""The guarded fetcher, against real servers on loopback addresses: what it gets, and what it never connects to."""

import gzip
import itertools
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from limner.errors import InvalidRequestError
from limner.fetching import MAX_REDIRECTS, Fetcher, is_public, network_of
from tests.sites import Site, site

PICTURE = b"\x89PNG pretended"
PAGES: dict[str, Any] = {
    "/a.png": (200, {"set-cookie": "id=7"}, PICTURE),
    "/none": (204, {}, b""),
    "/zip": (200, {"content-encoding": "gzip"}, gzip.compress(bytes(10_000_000))),
    "/loop": (302, {"location": "/loop"}, b""),
    "/nowhere": (302, {"location": "http://[::1"}, b""),
}


@pytest.fixture
def there() -> Iterator[Site]:
    with site(PAGES) as found:
        yield found


def fetcher(*allowed: str, **how: Any) -> Fetcher:
    return Fetcher(allowed, **{"max_bytes": 100_000, **how})


async def refused(asked: Fetcher, url: str) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        await asked.pictures([(url, "image[0]")])
    assert caught.value.param == "image[0]"
    assert caught.value.message.startswith("image[0]: ")
    return caught.value


def names(**table: list[str]) -> Callable[[str, int], Any]:
    """A resolver that knows these names; each call of a name gets its next answer, the last one again and again."""
    answers = {name: itertools.chain(found, itertools.repeat(found[-1])) for name, found in table.items()}

    async def resolve(host: str, port: int) -> list[str]:
        name = host.partition(".")[0]
        if name not in answers:
            raise OSError
        return next(answers[name]).split()

    return resolve


async def test_a_listed_address_is_asked_and_told_nothing_of_us(there: Site) -> None:
    assert await fetcher("127.0.0.0/8").pictures([(f"{there.url}/a.png", "image[0]")]) == [PICTURE]
    (headers,) = there.asked
    assert set(headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert headers["host"] == f"127.0.0.1:{there.port}"
    assert headers["accept-encoding"] == "identity"


async def test_by_default_nothing_is_fetched_and_the_setting_is_named(there: Site) -> None:
    assert "LIMNER_FETCH_HOSTS" in (await refused(fetcher(), f"{there.url}/a.png")).message
    assert there.connections == 0


LOCAL = [
    "http://127.0.0.1:{port}/a.png", "https://127.0.0.1:{port}/a.png", "http://localhost:{port}/a.png",
    "http://0.0.0.0:{port}/a.png", "http://[::]:{port}/a.png", "http://[::1]:{port}/a.png",
    "http://[::ffff:127.0.0.1]:{port}/a.png", "http://[::127.0.0.1]:{port}/a.png", "http://2130706433:{port}/a.png",
    "http://0x7f.1:{port}/a.png", "http://0x7f000001:{port}/", "http://0177.0.0.1:{port}/a.png",
    "http://127.1:{port}/a.png", "http://127.0.0.1.:{port}/a.png", "http://[64:ff9b::7f00:1]:{port}/a.png",
    "http://[2002:7f00:1::]:{port}/a.png", "http://[fe80::1%25lo]:{port}/a.png", "http://a@127.0.0.1:{port}/a.png",
    "http://ok.example\\@127.0.0.1:{port}/a.png", "http://ok.example@127.0.0.1:{port}/a.png",
    "http://127.0.0.1:{port}#@ok.example/a.png", "http://127.0.0.1:{port}?@ok.example/a.png",
    "http://ok.example:80:{port}/a.png", "http://ok.example:{port}:80/", "http://127.0.0.1:{port}\t/a.png",
    "http://①②⑦.⓪.⓪.①:{port}/a.png", "http://127。0。0。1:{port}/a.png", "http:///127.0.0.1:{port}/a.png",
    "//127.0.0.1:{port}/a.png", "HTTP://LOCALHOST:{port}/a.png", "http://%6c%6fcalhost:{port}/a.png",
]  # fmt: skip


@pytest.mark.parametrize("url", LOCAL)
@pytest.mark.parametrize("start", ["", "https"])
async def test_this_machine_is_never_asked_by_whatever_name(there: Site, url: str, start: str) -> None:
    if start:
        url = url.replace("http://", "https://")
    await refused(fetcher("*"), url.format(port=there.port))
    assert there.connections == 0


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data/", "https://100.100.100.200/", "https://10.0.0.1/", "https://192.168.0.1/",
     "https://172.16.0.1/", "https://[fd00::1]/", "https://[fe80::1]/", "https://224.0.0.1/", "https://255.255.255.255/",
     "https://240.0.0.1/", "https://[ff02::1]/", "https://[fec0::1]/", "https://192.0.2.1/"],
)  # fmt: skip
async def test_networks_that_are_not_public(url: str) -> None:
    error = await refused(fetcher("*"), url)
    assert "not on the public internet" in error.message


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://ok.example:{port}/", "ftp://ok.example:{port}/a.png", "data:,x", "http://", "x",
     "", "http://ok.example:{port}/a b", "http://ok.example:{port}/" + "a" * 9000, "http://ok.example:{port}/\x00",
     "http://ok..example:{port}/a.png", "http://user@ok.example:{port}/a.png", "http://u:p@ok.example:{port}/a.png",
     "http://ok.example:{port}\\a.png", "http://other.example\\@ok.example:{port}/a.png",
     "http://half.example:{port}/"],
)  # fmt: skip
async def test_what_is_no_url_of_a_picture(there: Site, url: str) -> None:
    """Though the setting allows all of it."""
    asked = fetcher("*", "127.0.0.0/8", resolve=names(ok=["127.0.0.1"], half=["127.0.0.1 nonsense"]))
    await refused(asked, url.format(port=there.port))
    assert there.connections == 0


async def test_no_proxy_is_asked(there: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would resolve the name anew, and may reach what this machine must not."""
    with site({"/": (200, {}, b"by proxy")}) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert await fetcher("127.0.0.1").pictures([(f"{there.url}/a.png", "image[0]")]) == [PICTURE]
        assert proxy.connections == 0


async def test_a_name_that_leads_inside_is_refused_though_it_is_allowed(there: Site) -> None:
    for host in ("*", "ok.example"):
        for found in ("127.0.0.1", "93.184.216.34 127.0.0.1", "::1", "nonsense", ""):
            await refused(fetcher(host, resolve=names(ok=[found])), f"https://ok.example:{there.port}/a.png")
    assert there.connections == 0


async def test_only_the_hosts_of_the_setting(there: Site) -> None:
    asked = fetcher("ok.example", "127.0.0.2", resolve=names(ok=["127.0.0.1"], other=["127.0.0.1"]))
    for host in ("other.example", "127.0.0.1", "ok.example.other.example", "xok.example"):
        assert "fetch_hosts" in (await refused(asked, f"http://{host}:{there.port}/a.png")).message
    assert there.connections == 0


async def test_plain_http_and_other_ports_only_at_listed_addresses() -> None:
    asked = fetcher("*", resolve=names(ok=["93.184.216.34"]))
    assert "https" in (await refused(asked, "http://ok.example/a.png")).message
    assert "port 443" in (await refused(asked, "https://ok.example:8443/a.png")).message


async def test_a_name_is_resolved_once_and_the_address_looked_at_is_the_one_asked() -> None:
    """DNS rebinding: the second answer of the resolver is an address that must not be asked."""
    with site(PAGES) as inside, site({"/a.png": (200, {}, b"outside")}, "127.0.0.2", inside.port) as outside:
        asked = fetcher("*", "127.0.0.2", resolve=names(ok=["127.0.0.2", "127.0.0.1"]))
        assert await asked.pictures([(f"http://ok.example:{outside.port}/a.png", "image[0]")]) == [b"outside"]
        assert outside.asked[0]["host"] == f"ok.example:{outside.port}"
        assert inside.connections == 0
        # The next question resolves anew, and looks anew.
        await refused(asked, f"http://ok.example:{outside.port}/a.png")
        assert inside.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_new_url(status: int) -> None:
    with site(PAGES) as inside:
        pages = {
            "/in": (status, {"location": f"http://127.0.0.1:{inside.port}/a.png"}, b""),
            "/by-name": (status, {"location": f"//ok.example:{inside.port}/a.png"}, b""),
            "/file": (status, {"location": "file:///etc/passwd"}, b""),
            "/on": (status, {"location": "/a.png", "set-cookie": "id=7"}, b""),
            "/a.png": (200, {}, PICTURE),
        }
        with site(pages, "127.0.0.2", inside.port) as outside:
            asked = fetcher("*", "127.0.0.2", resolve=names(ok=["127.0.0.1"], away=["127.0.0.2", "127.0.0.1"]))
            for path in ("/in", "/by-name", "/file"):
                await refused(asked, outside.url + path)
            # Rebound between the question and the redirect to the same name.
            await refused(asked, f"http://away.example:{outside.port}/on")
            assert inside.connections == 0
            assert await asked.pictures([(outside.url + "/on", "image[0]")]) == [PICTURE]
            assert "cookie" not in outside.asked[-1]


async def test_redirects_end(there: Site) -> None:
    asked = fetcher("127.0.0.1")
    assert "redirects" in (await refused(asked, f"{there.url}/loop")).message
    assert len(there.asked) == MAX_REDIRECTS + 1
    await refused(asked, f"{there.url}/nowhere")


@pytest.mark.parametrize(("path", "told"), [("/nothing", "404"), ("/none", "204"), ("/zip", "compressed")])
async def test_answers_that_are_no_picture(there: Site, path: str, told: str) -> None:
    assert told in (await refused(fetcher("127.0.0.1"), there.url + path)).message


async def test_nothing_answers() -> None:
    with site({}) as gone:
        url = gone.url
    assert "cannot be reached" in (await refused(fetcher("127.0.0.1"), url)).message


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        handler.wfile.write(bytes(65_536))


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        handler.wfile.write(b"x-%d: y\r\n" % number)
        time.sleep(0.02)


async def test_bytes_are_bounded_over_all_pictures_of_a_request() -> None:
    large = (200, {}, bytes(60_000))
    with site({"/endless": endless, "/large": large, "/told": (200, {"content-length": str(10**9)}, b"")}) as found:
        asked = fetcher("127.0.0.1")
        assert (await refused(asked, found.url + "/endless")).code == "image_too_large"
        assert len((await asked.pictures([(found.url + "/large", "image[0]")]))[0]) == 60_000
        with pytest.raises(InvalidRequestError) as caught:
            await asked.pictures([(found.url + "/large", "image[0]"), (found.url + "/large", "image[1]")])
        assert (caught.value.param, caught.value.code) == ("image[1]", "image_too_large")


async def test_seconds_are_bounded_however_the_answer_drips() -> None:
    with site({"/dripping": dripping}) as found:
        error = await refused(fetcher("127.0.0.1", seconds=0.3), found.url + "/dripping")
    assert "within 0.3 s" in error.message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for ok.example, in one file."""
    path = tmp_path_factory.mktemp("tls") / "ok.pem"
    key = path.with_suffix(".key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
               "2", "-subj", "/CN=ok.example", "-addext", "subjectAltName=DNS:ok.example", "-keyout", str(key), "-out",
               str(path)]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    path.write_text(path.read_text() + key.read_text())
    return path


async def test_the_certificate_must_be_the_names_though_the_address_is_asked(certificate: Path) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with site(PAGES, tls=serving) as found:
        resolve = names(ok=["127.0.0.1"], other=["127.0.0.1"])
        asked = fetcher("*", "127.0.0.1", resolve=resolve, verify=trusting)
        url = f"https://ok.example:{found.port}/a.png"
        assert await asked.pictures([(url, "image[0]")]) == [PICTURE]
        await refused(asked, url.replace("ok.", "other."))
        await refused(fetcher("*", "127.0.0.1", resolve=resolve), url)


def test_addresses_that_stand_for_others() -> None:
    for text in ("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:1::", "0.0.0.0", "::"):
        network = network_of(text)
        assert network is not None
        assert not is_public(network.network_address)
    for text in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"):
        network = network_of(text)
        assert network is not None
        assert is_public(network.network_address)

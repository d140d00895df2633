"""`limner serve` as a process: how it starts, what it says, how it ends."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import requests

from tests.conftest import until
from tests.processes import FAKE, LIMNER, PATIENCE, limner, serving


def test_it_says_where_it_is_and_ends_when_told(tmp_path: Path) -> None:
    pictures = tmp_path / "my pictures"
    with serving([LIMNER, "serve", "--port", "0", "--pictures", str(pictures)], tmp_path) as served:
        said = served.said.read_text()
        for told in (f"{served.url}/docs", str(pictures), "Ctrl+C", "not FLUX", "no key"):
            assert told in said
        body = {"prompt": "a cat", "num_inference_steps": 1, "response_format": "url"}
        url = requests.post(f"{served.url}/v1/images/generations", json=body, timeout=PATIENCE).json()["data"][0]["url"]
        (kept,) = pictures.iterdir()
        assert requests.get(url, timeout=PATIENCE).content == kept.read_bytes()
        assert served.stop() == 0
        assert "Traceback" not in served.said.read_text()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{served.url}/health", timeout=5)


def test_interrupting_is_the_told_way_to_stop_and_no_failure(tmp_path: Path) -> None:
    with serving([*FAKE, "--pictures", str(tmp_path / "p")], tmp_path) as served:
        assert served.stop(signal.SIGINT) == 0
        assert "Traceback" not in served.said.read_text()


def test_a_taken_port_is_told_in_one_line_with_exit_code_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = limner("serve", "--port", port, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (3, b"")
    (line,) = ended.stderr.decode().splitlines()
    assert port in line
    assert "--port" in line


@pytest.mark.parametrize(
    ("arguments", "variables", "told"),
    [
        (["--host", "0.0.0.0"], {}, "LIMNER_API_KEY"),
        (["--port", "70000"], {}, "port"),
        ([], {"LIMNER_PROT": "80"}, "LIMNER_PORT"),
        (["--api-key-file", "not-there"], {}, "not-there"),
    ],
)
def test_wrong_settings_are_refused_with_exit_code_2(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], told: str
) -> None:
    ended = limner("serve", *arguments, cwd=tmp_path, **variables)
    assert (ended.returncode, ended.stdout) == (2, b"")
    (line,) = ended.stderr.decode().splitlines()
    assert told in line


def test_all_settings_are_listed_with_their_variables(tmp_path: Path) -> None:
    listed = limner("serve", "--settings", cwd=tmp_path)
    assert listed.returncode == 0
    for variable in ("LIMNER_PORT", "LIMNER_PICTURE_TTL", "LIMNER_METADATA"):
        assert variable in listed.stdout.decode()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other ways to open a page")
def test_open_shows_the_docs_in_the_browser(tmp_path: Path) -> None:
    browser = tmp_path / "bin" / "xdg-open"
    browser.parent.mkdir()
    browser.write_text(
        f'#!/bin/sh\necho "$1" > {tmp_path}/opened.part && mv {tmp_path}/opened.part {tmp_path}/opened\n'
    )
    browser.chmod(0o755)
    path = f"{browser.parent}:{os.environ['PATH']}"
    with serving([LIMNER, "serve", "--port", "0", "--open"], tmp_path, PATH=path) as served:
        until((tmp_path / "opened").exists, PATIENCE)
        assert (tmp_path / "opened").read_text() == f"{served.url}/docs\n"

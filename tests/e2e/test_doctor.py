"""`limner doctor` on a good installation, and on some that are not."""

import json
import socket
from pathlib import Path

from tests.processes import Served, limner


def examined(cwd: Path, **variables: str) -> tuple[int, dict[str, dict]]:
    run = limner("doctor", "--json", cwd=cwd, **variables)
    told = json.loads(run.stdout)
    checks = {check["name"]: check for check in told["checks"]}
    assert told["ok"] == (run.returncode == 0) == all(check["ok"] for check in checks.values())
    for check in checks.values():
        assert set(check) == {"name", "ok", "detail", "fix"}
        assert bool(check["fix"]) != check["ok"], check
    return run.returncode, checks


def test_all_is_well(limner_serve: Served, tmp_path: Path) -> None:
    code, checks = examined(tmp_path, LIMNER_BASE_URL=limner_serve.url, LIMNER_PORT=limner_serve.url.rpartition(":")[2])
    assert code == 0, checks
    assert "limner-mini draws" in checks["model"]["detail"]
    assert limner_serve.url in checks["port"]["detail"]
    assert not (tmp_path / "data").exists(), "looking must not change anything"


def test_what_is_wrong_is_named_with_the_way_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, checks = examined(tmp_path, LIMNER_PORT=port, LIMNER_PICTURES=str(tmp_path / "file"))
    assert code == 1
    wrong = {name for name, check in checks.items() if not check["ok"]}
    # No server is at the base URL of the tests' environment.
    assert wrong == {"port", "pictures", "base url"}
    assert "LIMNER_PORT" in checks["port"]["fix"]
    assert "LIMNER_PICTURES" in checks["pictures"]["fix"]


def test_a_setting_that_is_none_is_found(tmp_path: Path) -> None:
    code, checks = examined(tmp_path, LIMNER_PROT="80")
    assert code == 1
    assert "LIMNER_PORT" in checks["settings"]["detail"]

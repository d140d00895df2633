"""Settings: who wins, what is refused, and that a server is not opened to the network by accident."""

from pathlib import Path
from typing import Any

import pytest

from limner.errors import InvalidRequestError
from limner.hosts import is_loopback
from limner.settings import Settings, config_path


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("LIMNER_CONFIG", str(path))
    path.write_text("")
    return path


def refused(**flags: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        Settings.load(**flags)
    return caught.value


def test_the_defaults_listen_on_loopback_only() -> None:
    settings = Settings.load()
    assert (settings.host, settings.port, settings.key()) == ("127.0.0.1", 1337, None)


def test_a_flag_beats_the_environment_which_beats_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("port = 1\nmax_queue = 1\npicture_ttl = 4000\n")
    monkeypatch.setenv("LIMNER_PORT", "2")
    monkeypatch.setenv("LIMNER_MAX_QUEUE", "2")
    settings = Settings.load(port=3, max_queue=None)
    assert (settings.port, settings.max_queue, settings.picture_ttl) == (3, 2, 4000)


def test_the_file_is_found_in_the_users_folder(tmp_path: Path) -> None:
    path = config_path()
    assert path.is_relative_to(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text('metadata = "none"')
    assert Settings.load().metadata == "none"


def test_an_unknown_key_of_the_file_shows_the_nearest(config: Path) -> None:
    config.write_text("prot = 80")
    error = refused()
    assert error.param == "prot"
    assert "did you mean port?" in error.message


def test_an_unknown_variable_shows_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_MAX_QUEU", "3")
    assert "did you mean LIMNER_MAX_QUEUE?" in refused().message


def test_an_unknown_flag_shows_the_nearest() -> None:
    assert "did you mean host?" in refused(hots="localhost").message


def test_the_clients_variable_is_not_the_servers_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_BASE_URL", "http://elsewhere/v1")
    Settings.load()


def test_a_named_file_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIMNER_CONFIG", str(tmp_path / "none.toml"))
    assert "not there" in refused().message


def test_broken_toml_is_told(config: Path) -> None:
    config.write_text("port = = 3")
    assert str(config) in refused().message


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("port", 70_000), ("port", "many"), ("picture_ttl", 60), ("metadata", "some"), ("max_body", 0),
        ("public_base_url", "img.example.org"), ("allowed_origins", "app.example.org"),
        ("allowed_hosts", "https://img.example.org"), ("allowed_hosts", "img.example.org, a b"),
        ("fetch_hosts", "https://img.example.org"), ("fetch_hosts", "img.example.org:8443"),
        ("fetch_hosts", "10.0.0.0/99"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_setting(flag: str, value: object) -> None:
    error = refused(**{flag: value})
    assert error.param == flag
    assert flag in error.message


def test_a_wrong_value_is_not_shown_because_it_may_be_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_PORT", "hunter2-secret")
    assert "hunter2" not in refused().message


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_ALLOWED_HOSTS", "a.example, b.example")
    assert Settings.load().allowed_hosts == ("a.example", "b.example")
    monkeypatch.setenv("LIMNER_FETCH_HOSTS", "*, NAS.example,10.0.0.0/8,fd00::1,[fd00::2]")
    assert Settings.load().fetch_hosts == ("*", "nas.example", "10.0.0.0/8", "fd00::1", "[fd00::2]")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_a_public_address_needs_a_key(host: str) -> None:
    error = refused(host=host)
    assert error.param == "host"
    assert "LIMNER_API_KEY" in error.message
    assert "--insecure-public-bind" in error.message
    assert Settings.load(host=host, api_key="k").key() == "k"
    assert Settings.load(host=host, insecure_public_bind=True).key() is None


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_a_blank_key_is_none(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_API_KEY", blank)
    assert Settings.load().key() is None
    assert refused(host="0.0.0.0").param == "host"
    assert refused(host="0.0.0.0", api_key=blank).param == "host"


def test_the_key_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-a-file\n")
    assert Settings.load(host="0.0.0.0", api_key_file=path).key() == "from-a-file"
    assert refused(api_key="k", api_key_file=path).param == "api_key_file"


@pytest.mark.parametrize("content", [None, "", " \n", "ключ", "two words"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    assert refused(api_key_file=path).param == "api_key_file"


def test_the_key_is_not_printed() -> None:
    assert "hunter2" not in repr(Settings.load(api_key="hunter2"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


def test_every_setting_is_described() -> None:
    rows = Settings.describe()
    assert [row.name for row in rows] == list(Settings.model_fields)
    assert all(row.help.endswith(".") for row in rows)
    assert ("port", "LIMNER_PORT", "1337") in [row[:3] for row in rows]

"""Every setting of the server, in one table.

A flag beats the environment (`LIMNER_PORT`), which beats `config.toml`, which beats the default. A name that is not
known is an error that shows the nearest known one, wherever it stands: a setting that does nothing is a trap.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from limner.errors import InvalidRequestError
from limner.hosts import HOST, is_loopback, is_network
from limner.keys import read_key
from limner.types import nearest

PREFIX = "LIMNER_"
# Variables of this prefix that are not settings of the server: where the file is, and where the client connects to.
OTHER_VARIABLES = ("LIMNER_CONFIG", "LIMNER_BASE_URL")
# Settings that lie in the user's data folder, and their names there.
FOLDERS = {"pictures": "pictures", "models_lock": "models.lock"}


class Row(NamedTuple):
    """One setting, for the reference page and `--help`."""

    name: str
    variable: str
    default: str
    help: str


class Settings(BaseModel):
    """What the server runs with. Make it by `Settings.load`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs a key.")
    port: int = Field(1337, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    pictures: Path = Field(
        default_factory=lambda: _in_data("pictures"), description="Folder that pictures behind a URL are kept in."
    )
    picture_ttl: float = Field(86_400, ge=3600, description="Seconds after which a kept picture is deleted, from 3600.")
    max_wait: float = Field(
        300,
        ge=0,
        description="Seconds that a request may wait, as reckoned; one that would wait longer is answered 429.",
    )
    max_queue: int = Field(
        256, ge=0, description="Requests that may wait at all, however short, for each holds memory; 0 lets none wait."
    )
    single_flight: bool = Field(True, description="Draw equal requests with a seed once, when they come at one time.")
    cache_bytes: int = Field(
        64_000_000,
        ge=0,
        description="Bytes of pictures kept in memory, to answer requests with a seed that come again.",
    )
    api_key: SecretStr | None = Field(None, description="Key that clients must send. Blank is none.")
    api_key_file: Path | None = Field(None, description="File that holds the key, instead of api_key.")
    admin_key: SecretStr | None = Field(
        None, description="Key for pulling, removing and unloading models over HTTP. None: nobody may."
    )
    admin_key_file: Path | None = Field(None, description="File that holds it, instead of admin_key.")
    models_lock: Path = Field(
        default_factory=lambda: _in_data("models_lock"), description="File that says which models were pulled."
    )
    model_keep_alive: float = Field(
        300, ge=0, description="Seconds that an idle model stays in memory; 0 is until its last picture is done."
    )
    model_memory: float | None = Field(
        None, gt=0, description="GB (10^9 bytes) that models may take together; what the device has when not set."
    )
    loras: Path | None = Field(None, description="Folder of LoRAs (.safetensors) that requests may name.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where pulled models draw.")
    public_base_url: str | None = Field(
        None, description="What picture URLs begin with, such as https://img.example.org; else the request's Host."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further Host names to answer to, comma-separated; * is any."
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Web origins whose pages may call this server (CORS), comma-separated."
    )
    fetch_hosts: tuple[str, ...] = Field(
        (),
        description="Where picture URLs in edits may point, comma-separated: host names, * for any public one, and "
        "addresses or networks such as 10.0.0.0/8, which may be private. None: nothing is fetched.",
    )
    trust_proxy: bool = Field(
        False, description="Make picture URLs from X-Forwarded-Proto and X-Forwarded-Host; only behind your own proxy."
    )
    insecure_public_bind: bool = Field(False, description="Listen beyond loopback without a key, for whoever comes.")
    strict: bool = Field(
        False, description="Refuse request fields that have no effect instead of naming them in a header."
    )
    metadata: Literal["full", "provenance", "none"] = Field(
        "full", description="What is written into pictures: the recipe, the recipe without prompts, or nothing."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of the engine; all cores when not set.")
    max_body: int = Field(1_000_000, ge=1000, description="Bytes that a request body may have.")
    max_upload: int = Field(25_000_000, ge=1000, description="Bytes that the body of an edit or variation may have.")
    header_timeout: float = Field(10, gt=0, description="Seconds until a request's headers must be complete.")
    body_timeout: float = Field(30, gt=0, description="Seconds that a request body may stall; four times that in all.")
    answer_timeout: float = Field(
        60, gt=0, description="Seconds that a client may take to read a quarter of a megabyte of its answer."
    )
    heartbeat: float = Field(
        15, gt=0, description="Seconds of silence after which a stream sends a comment, so that proxies wait on."
    )
    keep_alive: int = Field(15, ge=1, description="Seconds that an idle connection is kept open after an answer.")
    shutdown_grace: float = Field(60, ge=0, description="Seconds that running requests get to end when stopping.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Settings from flags, the environment and the file. A flag that is None was not given.

        Raises:
            InvalidRequestError: a name is unknown or a value is wrong; `param` is the setting.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        _only_known(given, "the flag")
        _check_variables(os.environ)
        try:
            return cls(**_of_file() | _of_environment(os.environ) | given)
        except ValidationError as error:
            raise _teaching(error) from None

    @classmethod
    def describe(cls) -> list[Row]:
        """Name, environment variable, default and help of every setting, in order."""
        return [
            Row(name, PREFIX + name.upper(), _default_text(name), field.description or "")
            for name, field in cls.model_fields.items()
        ]

    @field_validator("allowed_hosts", "allowed_origins", "fetch_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts", "fetch_hosts")
    @classmethod
    def _hosts_are_hosts(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        fetched = info.field_name == "fetch_hosts"
        for host in value:
            # One that nothing can ever equal would be silently without effect.
            named = HOST.fullmatch(host) and not (fetched and ":" in host)
            if host != "*" and not named and not (fetched and is_network(host)):
                raise ValueError(f"{host!r} is not a host name; one looks like img.example.org")
        return tuple(host.lower() for host in value)

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(f"{origin!r} is not an origin; one looks like https://app.example.org")
        return tuple(origin.lower() for origin in value)

    @field_validator("public_base_url")
    @classmethod
    def _base_is_url(cls, value: str | None) -> str | None:
        if not value:
            return None
        if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc:
            raise ValueError("must be an http or https URL, such as https://img.example.org")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _public_needs_key(self) -> Self:
        if self.key() is None and not self.insecure_public_bind and not is_loopback(self.host):
            raise InvalidRequestError(
                f"Listening on {self.host} lets everyone on the network in, so it needs a key. Set LIMNER_API_KEY or "
                "LIMNER_API_KEY_FILE and give the key to your clients; or keep the default host 127.0.0.1; or, where "
                "everyone may use this server, say --insecure-public-bind.",
                param="host",
            )
        return self

    def other_port(self) -> int:
        """A port to suggest where this one is taken."""
        return self.port + 1 if self.port < 65535 else 8337

    def key(self) -> str | None:
        """The key that clients must send, or None when none is needed.

        Raises:
            InvalidRequestError: the file cannot be read or is empty, two keys are set, or no header can carry the key.
        """
        return read_key("api_key", _plain(self.api_key), self.api_key_file)

    def admin(self) -> str | None:
        """The key of whoever may pull, remove and unload models over HTTP; None: nobody may. Raises as `key`."""
        return read_key("admin_key", _plain(self.admin_key), self.admin_key_file)


def config_path() -> Path:
    """Where `config.toml` is looked for: LIMNER_CONFIG, else the user's folder for settings."""
    named = os.environ.get("LIMNER_CONFIG")
    return Path(named) if named else Path(platformdirs.user_config_dir("limner", appauthor=False)) / "config.toml"


def _of_file() -> dict[str, Any]:
    """`config.toml`, its names checked."""
    path = config_path()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if os.environ.get("LIMNER_CONFIG"):
            raise InvalidRequestError(f"LIMNER_CONFIG names {path}, which is not there.", param="config") from None
        return {}
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"{path} cannot be read as TOML: {error}.", param="config") from None
    _only_known(found, f"{path}:")
    return found


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The variables, by the settings that they set, whatever their case. A blank one sets nothing."""
    given = {name.upper(): value for name, value in environment.items() if value}
    return {name: given[PREFIX + name.upper()] for name in Settings.model_fields if PREFIX + name.upper() in given}


def _only_known(names: Mapping[str, Any], where: str) -> None:
    for name in names:
        if name not in Settings.model_fields:
            raise _unknown(f"{where} {name!r} is not a setting", name, list(Settings.model_fields))


def _check_variables(environment: Mapping[str, str]) -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in (*known, *OTHER_VARIABLES):
            raise _unknown(f"the environment variable {name} is not a setting", name.upper(), known)


def _unknown(message: str, name: str, known: list[str]) -> InvalidRequestError:
    close = nearest(name, known, count=1)
    hint = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(known)}."
    return InvalidRequestError(f"{message[0].upper()}{message[1:]}; {hint}", param=name, code="unknown_parameter")


def _teaching(error: ValidationError) -> InvalidRequestError:
    # `include_input` off: a wrong value may be a secret that landed in the wrong place.
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    told = first["msg"].removeprefix("Value error, ")
    return InvalidRequestError(f"The setting {name} is wrong: {told[0].lower()}{told[1:]}.", param=name)


def _in_data(name: str) -> Path:
    return Path(platformdirs.user_data_dir("limner", appauthor=False)) / FOLDERS[name]


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _default_text(name: str) -> str:
    if name in FOLDERS:
        return f"limner/{FOLDERS[name]} in the user's data folder"
    default = Settings.model_fields[name].default
    if default is None or default == ():
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)

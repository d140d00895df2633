"""`limner pull` and its kin as a user runs them, against a hub on this machine."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests import hub as hubs
from tests.processes import limner

INDEX = {
    "_class_name": "FluxPipeline",
    "_diffusers_version": "0.42.1",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "tokenizer": ["transformers", "TokenizersBackend"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "image_encoder": [None, None],
}
# Weights that compress badly and differ everywhere, so that a piece in the wrong place is noticed.
WEIGHTS = b"".join(index.to_bytes(4, "big") for index in range(700_000))
GOOD = {
    "model_index.json": json.dumps(INDEX).encode(),
    "README.md": b"# A model",
    "scheduler/scheduler_config.json": b"{}",
    "tokenizer/tokenizer.json": b'{"model": {}}',
    "transformer/config.json": b'{"_class_name": "FluxTransformer2DModel"}',
    "transformer/diffusion_pytorch_model.safetensors": WEIGHTS,
    "flux1-whole.safetensors": b"the same again, for other programs",
}
NAME = "tests/tiny-flux"
LARGE = "transformer/diffusion_pytorch_model.safetensors"
Run = Callable[..., "CompletedProcess[bytes]"]


@pytest.fixture
def hub() -> Iterator[hubs.Hub]:
    with hubs.running() as hub:
        hub.add(hubs.Repository(NAME, dict(GOOD)))
        yield hub


@pytest.fixture
def run(hub: hubs.Hub, tmp_path: Path) -> Run:
    """`limner ...` with the hub and a cache of its own."""

    def call(*arguments: str, **extra: str) -> "CompletedProcess[bytes]":
        folders = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        return limner(*arguments, cwd=tmp_path, **folders | {"HF_TOKEN": ""} | extra)

    return call


def told(run: "CompletedProcess[bytes]") -> str:
    return run.stderr.decode()


def test_a_model_comes_whole_into_the_hubs_own_layout(run: Run, hub: hubs.Hub, tmp_path: Path) -> None:
    pulled = run("pull", NAME)
    assert (pulled.returncode, pulled.stdout) == (0, b"tests/tiny-flux\n"), told(pulled)
    commit = hub.repositories[NAME].commit
    home = tmp_path / "hf/hub/models--tests--tiny-flux"
    snapshot = home / "snapshots" / commit
    assert (home / "refs/main").read_text() == commit
    got = {path.relative_to(snapshot).as_posix(): path.read_bytes() for path in snapshot.rglob("*") if path.is_file()}
    # Only what the pipeline reads: no README, no second copy of the weights.
    assert got == {path: data for path, data in GOOD.items() if path not in ("README.md", "flux1-whole.safetensors")}
    assert all(path.is_symlink() for path in snapshot.rglob("*") if path.is_file())
    # The licence and the commit are said.
    assert commit in told(pulled)
    assert "apache-2.0" in told(pulled)
    lock = json.loads((tmp_path / "data/limner/models.lock").read_text())["models"][NAME]
    assert (lock["commit"], lock["pinned"], lock["licence"]) == (commit, "pull", "apache-2.0")
    assert len(lock["files"][LARGE]["digest"]) == 64


def test_the_hubs_own_library_finds_it_offline(run: Run, tmp_path: Path) -> None:
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    assert run("pull", NAME).returncode == 0
    cache = tmp_path / "hf/hub"
    found = try_to_load_from_cache(NAME, LARGE, cache_dir=cache)
    assert isinstance(found, str)
    assert Path(found).read_bytes() == WEIGHTS
    (repository,) = scan_cache_dir(cache).repos
    assert (repository.repo_id, repository.nb_files) == (NAME, 5)


def test_a_cache_of_ones_own(run: Run, tmp_path: Path) -> None:
    """HF_HUB_CACHE says where the files lie, whatever HF_HOME says."""
    assert run("pull", NAME, HF_HUB_CACHE=str(tmp_path / "large-disk")).returncode == 0
    assert list((tmp_path / "large-disk").glob("models--tests--tiny-flux/snapshots/*/model_index.json"))
    assert not (tmp_path / "hf/hub").exists()
    assert str(tmp_path / "large-disk") in json.loads(run("show", NAME, "--json").stdout)["folder"]
    assert run("rm", NAME, HF_HUB_CACHE=str(tmp_path / "large-disk")).returncode == 0
    assert not list((tmp_path / "large-disk").rglob("*.safetensors"))


def test_a_cut_is_gone_on_from(run: Run, hub: hubs.Hub) -> None:
    hub.cuts[LARGE] = [1_000_000]
    assert run("pull", NAME).returncode == 0
    assert hub.fetched(LARGE) == ["", "bytes=1000000-"]


def test_another_process_goes_on_from_where_one_was_cut_off(run: Run, hub: hubs.Hub, tmp_path: Path) -> None:
    # The last tries bring nothing, so the first process gives up.
    hub.cuts[LARGE] = [1_500_000, *[0] * 10]
    first = run("pull", NAME)
    assert first.returncode == 1
    assert "stopped at 1500000 of 2800000 bytes" in told(first)
    assert "the same command goes on from there" in told(first)
    assert not (tmp_path / "data/limner/models.lock").exists()
    hub.cuts.clear()
    hub.asked.clear()
    assert run("pull", NAME).returncode == 0
    assert hub.fetched(LARGE) == ["bytes=1500000-"]
    # What was whole before is not fetched again.
    assert hub.fetched("config.json") == []


def test_two_at_once_bring_each_file_once(run: Run, hub: hubs.Hub) -> None:
    with ThreadPoolExecutor() as threads:
        pulls = list(threads.map(lambda _: run("pull", NAME), range(3)))
    assert [pull.returncode for pull in pulls] == [0, 0, 0], [pull.stderr for pull in pulls]
    assert hub.fetched(LARGE) == [""]


def test_the_token_goes_to_the_hub_and_no_further(run: Run, hub: hubs.Hub) -> None:
    with hubs.running() as store:
        store.add(hub.repositories[NAME])
        hub.store = store.url
        assert run("pull", NAME, HF_TOKEN=hubs.TOKEN).returncode == 0
        assert store.fetched(LARGE) == [""]
        assert f"Bearer {hubs.TOKEN}" in hub.tokens
        assert set(store.tokens) == {""}


def test_a_mirror_that_knows_no_ranges_sends_it_whole(run: Run, hub: hubs.Hub) -> None:
    hub.cuts[LARGE] = [1_000_000]
    hub.deaf = True
    assert run("pull", NAME).returncode == 0


@pytest.mark.parametrize("path", [LARGE, "tokenizer/tokenizer.json"])
def test_a_wrong_hash_is_refused(run: Run, hub: hubs.Hub, tmp_path: Path, path: str) -> None:
    data = GOOD[path]
    hub.repositories[NAME].wrong[path] = data[:-1] + bytes([data[-1] ^ 1])
    pulled = run("pull", NAME)
    assert pulled.returncode == 1
    assert "is not what the hub named: its hash differs" in told(pulled)
    assert not (tmp_path / "data/limner/models.lock").exists()
    # Nothing of it stays that somebody could load.
    digests = {hubs.git_sha1(data), __import__("hashlib").sha256(data).hexdigest()}
    blobs = tmp_path / "hf/hub/models--tests--tiny-flux/blobs"
    assert digests.isdisjoint(blob.name.removesuffix(".incomplete") for blob in blobs.iterdir())


def test_more_bytes_than_were_named_are_refused(run: Run, hub: hubs.Hub) -> None:
    hub.repositories[NAME].wrong[LARGE] = WEIGHTS + b"and on and on"
    pulled = run("pull", NAME)
    assert pulled.returncode == 1
    assert "more bytes" in told(pulled)


def test_offline_afterwards(run: Run, hub: hubs.Hub) -> None:
    refused = run("pull", NAME, HF_HUB_OFFLINE="1")
    assert refused.returncode == 1
    assert "HF_HUB_OFFLINE forbids" in told(refused)
    assert run("pull", NAME).returncode == 0
    hub.asked.clear()
    again = run("pull", NAME, HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, b"tests/tiny-flux\n"), told(again)
    assert "here already" in told(again)
    assert hub.asked == []


def test_a_rotten_file_is_mended_by_another_pull(run: Run, hub: hubs.Hub, tmp_path: Path) -> None:
    assert run("pull", NAME).returncode == 0
    (blob,) = (path for path in (tmp_path / "hf/hub").rglob("blobs/*") if path.stat().st_size == len(WEIGHTS))
    blob.write_bytes(WEIGHTS[:-1] + b"!")
    assert run("pull", NAME, HF_HUB_OFFLINE="1").returncode == 1
    assert run("pull", NAME).returncode == 0
    assert blob.read_bytes() == WEIGHTS


def test_a_gate_says_what_to_do(run: Run, hub: hubs.Hub) -> None:
    hub.repositories[NAME].gated = True
    refused = run("pull", NAME)
    assert refused.returncode == 4
    assert "is gated: accept its terms at" in told(refused)
    assert "HF_TOKEN" in told(refused)
    assert "No token was sent" in told(refused)
    wrong = run("pull", NAME, HF_TOKEN="hf_another")
    assert wrong.returncode == 4
    assert "hf_another" not in told(wrong)
    assert run("pull", NAME, HF_TOKEN=hubs.TOKEN).returncode == 0


@pytest.mark.parametrize("licence", ["flux-1-dev-non-commercial-license", ""])
def test_a_licence_must_be_accepted(run: Run, hub: hubs.Hub, licence: str) -> None:
    hub.repositories[NAME].licence = licence
    refused = run("pull", NAME)
    assert refused.returncode == 4
    assert "--accept-licence" in told(refused)
    assert (licence or "no licence") in told(refused)
    assert hub.fetched(LARGE) == []
    assert run("pull", NAME, "--accept-licence").returncode == 0
    assert json.loads(run("show", NAME, "--json").stdout)["accepted"] is True


def test_a_name_of_ones_own_and_a_revision(run: Run, hub: hubs.Hub, tmp_path: Path) -> None:
    commit = hub.repositories[NAME].commit
    pulled = run("pull", f"{NAME}@{commit}", "--name", "tiny", "--json")
    facts = json.loads(pulled.stdout)
    assert (facts["name"], facts["commit"], facts["pinned"]) == ("tiny", commit, "revision")
    unknown = run("pull", f"{NAME}@{'0' * 40}")
    assert unknown.returncode == 5
    assert "has no model" in told(unknown)
    bad = run("pull", NAME, "--name", "../up")
    assert bad.returncode == 2


def test_listed_shown_and_removed(run: Run, tmp_path: Path) -> None:
    assert "limner pull flux" in told(run("list"))
    assert run("pull", NAME).returncode == 0
    assert run("pull", NAME, "--name", "second").returncode == 0
    (one, two) = json.loads(run("list", "--json").stdout)["models"]
    assert (one["name"], two["name"]) == ("second", NAME)
    # 2.8 MB of weights and a few settings.
    assert 2_800_000 < one["bytes"] < 2_801_000
    assert b"tests/tiny-flux" in run("list").stdout
    assert run("rm", "second").returncode == 0
    # The other name still needs the files.
    assert list((tmp_path / "hf/hub").rglob("blobs/*"))
    assert run("rm", NAME).returncode == 0
    assert list((tmp_path / "hf/hub").rglob("blobs/*")) == []
    assert json.loads(run("list", "--json").stdout) == {"models": []}
    gone = run("rm", NAME)
    assert gone.returncode == 5
    assert "nothing is pulled" in told(gone)


def test_too_little_room_is_told_before_anything_comes(
    run: Run, hub: hubs.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = hubs.Repository.info

    def huge(self: hubs.Repository) -> dict[str, object]:
        answer = info(self)
        for entry in answer["siblings"]:
            if entry["rfilename"] == LARGE:
                entry["size"] = entry["lfs"]["size"] = 10**16
        return answer

    monkeypatch.setattr(hubs.Repository, "info", huge)
    refused = run("pull", NAME)
    assert refused.returncode == 1
    assert "10000000.0 GB" in told(refused)
    assert hub.fetched(LARGE) == []


def test_names_of_the_catalogue_teach(run: Run) -> None:
    refused = run("pull", "flux-schnel")
    assert refused.returncode == 5
    assert "flux-schnell" in told(refused)
    # The catalogue's commit is asked for, and this hub does not have the model.
    missing = run("pull", "flux2-klein")
    assert missing.returncode == 5
    assert "black-forest-labs/FLUX.2-klein-4B at e7b7dc27f91deacad38e78976d1f2b499d76a294" in told(missing)


def test_a_hub_that_is_not_there(run: Run) -> None:
    refused = run("pull", NAME, HF_ENDPOINT="http://127.0.0.1:9")
    assert refused.returncode == 1
    assert "could not be asked" in told(refused)
    assert "HF_ENDPOINT" in told(refused)

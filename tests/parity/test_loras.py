"""A LoRA that is trained here by peft on our own checkpoint: it changes the picture, and only that of who asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
peft = pytest.importorskip("peft")

from safetensors.torch import save_file  # noqa: E402

from limner.engines.diffusers import DiffusersEngine  # noqa: E402
from limner.engines.mini import MiniEngine  # noqa: E402
from limner.errors import InvalidRequestError  # noqa: E402
from limner.types import Image, ImageRequest  # noqa: E402
from tests.counted import AS_MINI, CHECKPOINT  # noqa: E402

(CARD,) = MiniEngine().cards()
STEPS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a LoRA that was taught that every picture is plain red, and with files that are none."""
    made = tmp_path_factory.mktemp("loras")
    (made / "styles").mkdir()
    train(made / "styles" / "red.safetensors")
    save_file({"nonsense.weight": torch.zeros(3, 3)}, made / "unfit.safetensors")
    (made / "damaged.safetensors").write_bytes(b"\0" * 100)
    (made.parent / "outside.safetensors").write_bytes(b"")
    return made


def train(file: Path) -> None:
    """A few steps of rectified flow: from noise towards the latents of a red picture."""
    torch.manual_seed(0)
    pipeline = diffusers.FluxPipeline.from_pretrained(CHECKPOINT, dtype=torch.float32)
    transformer, vae = pipeline.transformer, pipeline.vae
    transformer.requires_grad_(False)
    # As wide as text layers and picture layers are trained by everybody's scripts.
    transformer.add_adapter(
        peft.LoraConfig(
            r=8, lora_alpha=8, init_lora_weights="gaussian", target_modules=["to_q", "to_k", "to_v", "proj_out"]
        )
    )
    weights = [weight for weight in transformer.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=3e-3)
    red = torch.full((1, 3, 128, 128), -1.0)
    red[:, 0] = 0.6
    with torch.no_grad():
        cells = (vae.encode(red).latent_dist.mode() - vae.config.shift_factor) * vae.config.scaling_factor
        target = pipeline._pack_latents(cells, 1, cells.shape[1], *cells.shape[2:])
        text, pooled, text_ids = pipeline.encode_prompt(
            "a cat", "a cat", max_sequence_length=pipeline.tokenizer_2.model_max_length
        )
    ids = pipeline._prepare_latent_image_ids(1, cells.shape[2] // 2, cells.shape[3] // 2, "cpu", torch.float32)
    for _ in range(STEPS):
        time = torch.sigmoid(torch.randn(4))
        noise = torch.randn(4, *target.shape[1:])
        mixed = (1 - time)[:, None, None] * target + time[:, None, None] * noise
        (velocity,) = transformer(
            hidden_states=mixed, encoder_hidden_states=text.repeat(4, 1, 1), pooled_projections=pooled.repeat(4, 1),
            timestep=time, img_ids=ids, txt_ids=text_ids, return_dict=False,
        )  # fmt: skip
        loss = (velocity - (noise - target)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    layers = peft.get_peft_model_state_dict(transformer)
    diffusers.FluxPipeline.save_lora_weights(file.parent, transformer_lora_layers=layers, weight_name=file.name)


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[DiffusersEngine]:
    async with DiffusersEngine(CARD, str(CHECKPOINT), loras=str(folder), threads=1, **AS_MINI) as opened:
        yield opened


def wish(engine: DiffusersEngine, *loras: dict[str, Any], **wishes: Any) -> ImageRequest:
    options = {"seed": 7, "size": "128x128", "num_inference_steps": 4, "guidance_scale": 1.0} | wishes
    return engine.cards()[0].request("a cat", loras=list(loras), **options)


async def drawn(engine: DiffusersEngine, request: ImageRequest) -> np.ndarray:
    (image,) = [event async for event in engine.generate(request) if isinstance(event, Image)]
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).astype(int)


def redness(picture: np.ndarray) -> float:
    """How far the mean colour lies from what the LoRA was taught."""
    return float(np.abs(picture.mean((0, 1)) - np.array([204, 0, 0])).mean())


async def test_it_changes_the_picture_as_far_as_its_scale_says(engine: DiffusersEngine) -> None:
    plain = await drawn(engine, wish(engine))
    whole = await drawn(engine, wish(engine, {"name": "styles/red"}))
    half = await drawn(engine, wish(engine, {"path": "styles/red.safetensors", "scale": 0.5}))
    none = await drawn(engine, wish(engine, {"name": "styles/red", "scale": 0}))
    assert redness(whole) < redness(half) < redness(plain)
    assert redness(whole) < redness(plain) / 2
    assert np.abs(none - plain).max() <= 2


async def test_beside_a_request_without_it_each_is_what_it_is_alone(engine: DiffusersEngine) -> None:
    plain, red = wish(engine), wish(engine, {"name": "styles/red"})
    alone = [await drawn(engine, plain), await drawn(engine, red)]
    together = await asyncio.gather(*(drawn(engine, request) for request in (plain, red, plain, red, red, plain)))
    for at, picture in enumerate(together):
        assert np.abs(picture - alone[(0, 1, 0, 1, 1, 0)[at]]).max() <= 2
    assert np.abs(alone[0] - alone[1]).mean() > 20


async def test_it_is_read_once(engine: DiffusersEngine) -> None:
    loads: list[str] = []
    base = engine._drawer._parts.base
    load = base.load_lora_weights
    base.load_lora_weights = lambda *a, **k: loads.append(k["weight_name"]) or load(*a, **k)
    for _ in range(3):
        await drawn(engine, wish(engine, {"name": "styles/red"}))
        await drawn(engine, wish(engine))
    assert loads == ["red.safetensors"]


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("styles/rad", "lora_not_found", "styles/red"),
        ("unfit", "lora_unfit", "unfit"),
        ("damaged", "lora_unfit", "damaged"),
    ],
)
async def test_what_is_not_there_or_does_not_fit_is_told_and_the_next_request_is_plain(
    engine: DiffusersEngine, name: str, code: str, told: str
) -> None:
    plain = await drawn(engine, wish(engine))
    with pytest.raises(InvalidRequestError, match=told) as raised:
        await drawn(engine, wish(engine, {"name": "styles/red"}, {"name": name}))
    assert (raised.value.param, raised.value.code) == ("loras[1]", code)
    assert np.array_equal(plain, await drawn(engine, wish(engine)))


async def test_a_link_out_of_the_folder_leads_nowhere(engine: DiffusersEngine, folder: Path) -> None:
    link = folder / "link.safetensors"
    link.symlink_to(folder.parent / "outside.safetensors")
    with pytest.raises(InvalidRequestError, match="no LoRA"):
        await drawn(engine, wish(engine, {"name": "link"}))
    link.unlink()


def test_without_a_folder_of_loras_the_card_takes_none() -> None:
    (card,) = DiffusersEngine(CARD, str(CHECKPOINT)).cards()
    with pytest.raises(InvalidRequestError, match="takes no loras"):
        card.request("a cat", loras=[{"name": "ink"}])
    assert json.dumps(card.abilities)

"""The transformer that training uses is diffusers' FluxTransformer2DModel, weight for weight."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
sys.path.insert(0, str(Path(__file__).parents[2] / "training"))

from flux import Flux, FluxConfig, pack, positions  # noqa: E402
from grid import Grid  # noqa: E402
from step import Step  # noqa: E402


@torch.no_grad()
def test_same_velocity_as_diffusers():
    """Random weights loaded by name into the stock class give the same output."""
    torch.manual_seed(0)
    config = FluxConfig(num_layers=1, num_single_layers=2)
    own, stock = Flux(config), diffusers.FluxTransformer2DModel(**config.diffusers())
    for weight in own.parameters():
        torch.nn.init.normal_(weight, std=0.03)
    stock.load_state_dict(own.state_dict(), strict=True)
    latents, text = torch.randn(2, 6, 128), torch.randn(2, 16, 256)
    pooled, t, ids = torch.randn(2, 128), torch.rand(2), positions(16, 2, 3)
    mine = own(latents, text, pooled, t, ids)
    (theirs,) = stock(
        hidden_states=latents,
        encoder_hidden_states=text,
        pooled_projections=pooled,
        timestep=t,
        img_ids=ids[16:],
        txt_ids=ids[:16],
        return_dict=False,
    )
    assert theirs.abs().max() > 0.1
    assert torch.allclose(mine, theirs, atol=1e-5)


@torch.no_grad()
def test_the_step_that_is_exported_gives_the_same_velocity():
    torch.manual_seed(0)
    flux = Flux(FluxConfig(num_layers=2, num_single_layers=2))
    for weight in flux.parameters():
        torch.nn.init.normal_(weight, std=0.03)
    grid = Grid()
    step = Step(grid.round(flux), grid.join)
    inputs = torch.randn(2, 6, 128), torch.randn(2, 8, 256), torch.randn(2, 128), torch.rand(2), positions(8, 2, 3)
    wanted = flux(*inputs)
    assert wanted.abs().max() > 0.1
    assert torch.allclose(step(*inputs), wanted, atol=1e-5)
    # What was joined is still of eight bits.
    joined = step.both[0].weight.numpy()
    whole, scale = grid.find(joined)
    assert whole.dtype == "int8"
    assert (whole * scale == joined).all()


def test_packing_and_positions_are_the_pipelines():
    latents = torch.randn(2, 32, 4, 6)
    assert torch.equal(pack(latents), diffusers.FluxPipeline._pack_latents(latents, 2, 32, 4, 6))
    ids = diffusers.FluxPipeline._prepare_latent_image_ids(1, 2, 3, "cpu", torch.float32)
    assert torch.equal(positions(5, 2, 3)[5:], ids)

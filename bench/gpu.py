"""What a GPU gives, and what we make of it: python -m bench.gpu [--small] [--only G1,G3] [--out FILE]

G0 ceilings; G1 a step of FLUX.1 at 1024x1024; G3 FLUX.2-klein over HTTP, PNG included; G4 the same at 512x512; G5 a
step by batch; G6 what the device waits for between requests; G7 the decoder; G8 weights from a file to the device.
G2 (fp8) is not built. Weights are random and made on the device, so nothing is downloaded. `--small` runs all of it on
a processor with tiny shapes in a minute: it shows that the script works, and its figures say nothing.
"""

import argparse
import asyncio
import concurrent.futures
import itertools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import torch
from safetensors.torch import load_file, save_file

from bench import gpu_models, machine, report
from bench.report import Row
from limner.engines.diffusers import DiffusersEngine
from limner.engines.diffusers_drawing import Drawer
from limner.engines.diffusers_family import FAMILIES
from limner.engines.diffusers_loras import Loras
from limner.engines.diffusers_parts import Parts
from limner.engines.diffusers_speed import Tuner
from limner.server import create_app
from limner.server.run import Server
from limner.settings import Settings
from limner.store import MemoryStore
from limner.studio import Studio
from limner.types import ModelCard, Size

GROUPS = ("G0", "G1", "G3", "G4", "G5", "G6", "G7", "G8")
STEPS = 4
# Requests that wait at once.
LINE = 4


class Bench:
    """The device, the sizes, and the rows that were found."""

    def __init__(self, small: bool) -> None:
        self.small = small
        self.device = "cpu" if small or not torch.cuda.is_available() else "cuda"
        self.dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        self.rounds = 2 if small else 9
        self.rows: list[Row] = []

    def size(self, side: int) -> int:
        """Pixels a side; an eighth in the small form."""
        return side // 8 if self.small else side

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def timed(self, work: Callable[[], object]) -> list[dict[str, float]]:
        """Milliseconds of each round, after two that are not counted."""
        found: list[dict[str, float]] = []
        for number in range(self.rounds + 2):
            self.wait()
            begun = time.perf_counter()
            work()
            self.wait()
            if number >= 2:
                found.append({"wall": 1000 * (time.perf_counter() - begun)})
        return found

    def row(self, figure: str, subject: str, role: str, rounds: list[dict[str, float]], note: str = "") -> None:
        """Keep a row, and say it at once."""
        self.rows.append(report.row(figure, subject, role, rounds, note))
        print(f"{figure:<44} {subject:<22} {self.rows[-1].values['wall']:>10.2f} ms  {note}", flush=True)


def ceilings(bench: Bench) -> None:
    """G0."""
    side = bench.size(8192)
    like = {"device": bench.device, "dtype": bench.dtype}
    for name, (rows, inner, columns) in {
        "square": (side, side, side),
        "FLUX.1's": (bench.size(4608), bench.size(3072), bench.size(12288)),
    }.items():
        one, other = torch.randn(rows, inner, **like), torch.randn(inner, columns, **like)
        rounds = bench.timed(lambda one=one, other=other: one @ other)
        rate = 2 * rows * inner * columns / statistics.median(r["wall"] for r in rounds) / 1e9
        bench.row(f"G0 product, {name}", "torch", "limit", rounds, f"{rate:.1f} TFLOP/s")
    query = torch.randn(1, 24, bench.size(4608), 128, **like)
    attend = torch.nn.functional.scaled_dot_product_attention
    rounds = bench.timed(lambda: attend(query, query, query))
    rate = 4 * 24 * query.shape[2] ** 2 * 128 / statistics.median(r["wall"] for r in rounds) / 1e9
    bench.row("G0 attention, 24 heads of 128", "torch", "limit", rounds, f"{rate:.1f} TFLOP/s")
    held = torch.empty(2**20 if bench.small else 2**30, dtype=torch.uint8, pin_memory=bench.device == "cuda")
    bench.row("G0 memory to device", "torch", "limit", bench.timed(lambda: held.to(bench.device, copy=True)))


def flux_steps(bench: Bench) -> None:
    """G1: the forms that the engine chooses among, on the shape of FLUX.1."""
    model = gpu_models.flux(bench.device, bench.dtype, small=bench.small)
    tuner = Tuner(model, bench.device, compiler="eager" if bench.small else "inductor")
    side = bench.size(1024)
    with torch.inference_mode():
        model(**gpu_models.flux_step(model, side, 1))
    tuner.idle()
    ((shape, times),) = tuner.measured.items()
    winner = "fused" if tuner.chosen[shape] == "eager" and tuner.fused else tuner.chosen[shape]
    for form, taken in times.items():
        role = "peer" if form == "eager" else "ours"
        note = "chosen" if form == winner else ""
        bench.row(f"G1 step of FLUX.1, {side}x{side}", f"diffusers {form}", role, [{"wall": taken}], note)


def batches(bench: Bench) -> None:
    """G5."""
    model = gpu_models.flux(bench.device, bench.dtype, small=bench.small)
    for side in map(bench.size, (256, 512, 1024)):
        for batch in (1, 2) if bench.small else (1, 2, 4, 8):
            inputs = gpu_models.flux_step(model, side, batch)
            with torch.inference_mode():
                rounds = bench.timed(lambda inputs=inputs: model(**inputs))
            each = statistics.median(r["wall"] for r in rounds) / batch
            bench.row(
                f"G5 step of FLUX.1, {side}x{side}", f"{batch} at once", "ours", rounds, f"{each:.1f} ms a picture"
            )


def decoders(bench: Bench) -> None:
    """G7."""
    vae = gpu_models.klein(bench.device, bench.dtype, small=bench.small).vae
    for side in map(bench.size, (1024, 2048)):
        cells = torch.randn(1, vae.config.latent_channels, side // 8, side // 8, device=bench.device, dtype=bench.dtype)
        with torch.inference_mode():
            vae.to(memory_format=torch.contiguous_format)
            bench.row(f"G7 decoder, {side}x{side}", "diffusers", "peer", bench.timed(lambda c=cells: vae.decode(c)))
            vae.to(memory_format=torch.channels_last)
            bench.row(f"G7 decoder, {side}x{side}", "channels last", "ours", bench.timed(lambda c=cells: vae.decode(c)))


def loading(bench: Bench) -> None:
    """G8: from the page cache; the disk's own rate is another matter."""
    count = 2 if bench.small else 24
    each = 2**18 if bench.small else 2**29
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({f"part{at}": torch.zeros(each, dtype=torch.bfloat16) for at in range(count)}, file)
        rounds = bench.timed(lambda: load_file(file, device=bench.device))
        rate = file.stat().st_size / statistics.median(r["wall"] for r in rounds) / 1e6
        bench.row("G8 weights to the device", "safetensors", "ours", rounds, f"{rate:.1f} GB/s")


class RandomKlein(DiffusersEngine):
    """Our engine on a pipeline that was never on a disk."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        side = bench.size(1024)
        super().__init__(
            ModelCard(
                id="klein", title="klein", licence="Apache-2.0", about="Random weights of FLUX.2-klein's shape.",
                created=0, owned_by="bench", native=Size(width=side, height=side), min_side=16, max_side=2048,
                quality_steps={"low": STEPS, "medium": STEPS, "high": STEPS},
            ),
            "",
        )  # fmt: skip

    def cards(self) -> list[ModelCard]:
        return [self._card]

    def _load(self) -> Drawer:
        base = gpu_models.klein(self._bench.device, self._bench.dtype, small=self._bench.small)
        base.set_progress_bar_config(disable=True)
        parts = Parts(
            family=FAMILIES["Flux2KleinPipeline"], base=base, own_scheduler=base.scheduler,
            device=self._bench.device, offload="none",
        )  # fmt: skip
        return Drawer(parts, Loras(base, ""))


@contextmanager
def served(engine: DiffusersEngine) -> Iterator[str]:
    """A real server with the engine in this process."""
    settings = Settings.load(port=0)
    server = Server(create_app(Studio([engine]), MemoryStore(), settings), settings)
    thread = threading.Thread(target=server.run, args=(server.listeners,))
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield server.url
    finally:
        server.handle_exit(15, None)
        thread.join()


def requests(bench: Bench, sides: tuple[int, ...], gap: bool) -> None:
    """G3, G4 and G6: whole requests over HTTP, the PNG of each received; and what a line of them loses between two."""
    engine = RandomKlein(bench)
    with served(engine) as url, httpx2.Client(base_url=url, timeout=600) as client:
        apart = itertools.count(0, 1000)

        def ask(side: int, seed: int) -> None:
            # No answer comes from the cache.
            body = {"model": "klein", "prompt": "a cat", "size": f"{side}x{side}", "seed": seed + next(apart)}
            answer = client.post("/v1/images/generations", json=body, headers={"accept": "image/png"})
            assert answer.status_code == 200, answer.text[:300]

        for number, side in zip(("G3", "G4"), map(bench.size, sides), strict=False):
            ask(side, 0)
            settle(engine)
            alone = bench.timed(lambda side=side: ask(side, 0))
            bench.row(f"{number} klein over HTTP, {side}x{side}", "limner", "ours", alone, f"{STEPS} steps, PNG")
            if not gap:
                continue
            with concurrent.futures.ThreadPoolExecutor(LINE) as pool:
                line = bench.timed(lambda side=side, pool=pool: list(pool.map(ask, [side] * LINE, range(LINE))))
            each = [{"wall": round_["wall"] / LINE} for round_ in line]
            bench.row(f"G6 a line of four, {side}x{side}", "limner", "ours", each, "ms a picture")


def settle(engine: DiffusersEngine) -> None:
    """Until the forms of the model have been measured."""
    while engine._busy:
        asyncio.run(asyncio.sleep(0.05))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny shapes on a processor; the figures say nothing")
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, such as G1,G3")
    parser.add_argument("--out", type=Path, help="file for the rows as JSON")
    chosen = parser.parse_args()
    only = chosen.only.split(",")
    if chosen.small:
        torch.set_num_threads(1)
    bench = Bench(chosen.small)
    if bench.device == "cpu" and not chosen.small:
        parser.error("torch sees no GPU here; --small shows that the script works")
    card = torch.cuda.get_device_name() if bench.device == "cuda" else "a processor"
    print(f"{card}, torch {torch.__version__}{', small form: figures say nothing' if bench.small else ''}")
    for group, measure in {"G0": ceilings, "G1": flux_steps, "G5": batches, "G7": decoders, "G8": loading}.items():
        if group in only:
            measure(bench)
    if {"G3", "G4", "G6"} & set(only):
        requests(bench, (1024, 512), "G6" in only)
    if chosen.out:
        rows = [vars(row) for row in bench.rows]
        told = {"device": card, "torch": torch.__version__, "small": bench.small, "machine": machine.describe()}
        chosen.out.write_text(json.dumps({**told, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

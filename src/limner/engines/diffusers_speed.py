"""The fastest form of a model's step, found by measuring it: as loaded, with fused projections, compiled, or recorded.

A picture is drawn at once with the model as it was loaded. When the device has nothing to do, the step that it has just
taken is taken again in each form, and the fastest that gives the same numbers draws pictures of that shape from then
on. Other shapes go on as they were until they have had their turn, so nobody waits for a compiler in a request.
"""

import importlib
import logging
import math
import statistics
import time
from collections.abc import Callable, Hashable
from typing import Any

from limner.engines.diffusers_graph import Player, Record, on_cuda

log = logging.getLogger(__name__)
# Times that a form is run before and while it is timed.
WARM, TIMED = 2, 5
# A form must be so much faster to be worth its risk.
GAIN = 1.03
# Largest difference of a form's output, of the spread of the eager one's: what bfloat16 itself is off by.
DRIFT = 0.05
# Shapes that are compiled at most; each keeps code in memory.
SHAPES = 8
# Seconds of a step above which arithmetic takes the time, and not launches: a recording would cost memory for nothing.
SMALL = 0.05


class Tuner:
    """Measures the forms of one model. All of it runs on the device's thread."""

    def __init__(self, model: Any, device: str, *, compiler: str = "inductor", record: Record | None = None) -> None:
        """`record`: how a step is recorded; by default as a CUDA graph, where there is CUDA."""
        self._model = model
        self._record = record or (on_cuda if device.startswith("cuda") else None)
        self._player: Player | None = None
        self._device = device
        self._compiler = compiler
        # What the last step of each shape was called with, until it is measured.
        self._waiting: dict[Hashable, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        # The form that won, by shape; "eager" where none was faster.
        self.chosen: dict[Hashable, str] = {}
        # Milliseconds of a step by form, by shape.
        self.measured: dict[Hashable, dict[str, float]] = {}
        self._off = False
        self._timing = False
        # Whether projections are fused; None until it was measured.
        self.fused: bool | None = None
        # Blocks with what their compiled form is called by.
        self._compiled: list[tuple[Any, Any]] = []
        model.register_forward_pre_hook(self._before, with_kwargs=True)

    def stop(self) -> None:
        """Draw with the model as it was loaded, for good: LoRAs change its layers."""
        self._off = True
        self._waiting.clear()
        self._use("eager")
        if self._player:
            self._player.forget()
        if self.fused:
            self._model.unfuse_qkv_projections()
            self.fused = False

    def idle(self) -> bool:
        """Measure one shape that waits; whether there was one."""
        if self._off or not self._waiting:
            return False
        shape = next(iter(self._waiting))
        arguments, options = self._waiting.pop(shape)
        torch: Any = importlib.import_module("torch")
        with torch.inference_mode():
            self.chosen[shape] = self._fastest(shape, arguments, options)
        log.info("a step of %s: %s; %s draws", shape, self.measured[shape], self.chosen[shape])
        return True

    def _before(self, _model: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if self._off or self._timing:
            return
        shape = shape_of((arguments, options))
        self._use(self.chosen.get(shape, "eager"), shape)
        if shape not in self.chosen and len(self.chosen) + len(self._waiting) < SHAPES:
            self._waiting[shape] = (arguments, options)

    def _fastest(self, shape: Hashable, arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
        def step() -> Any:
            return self._model(*arguments, **options)

        self._timing = True
        try:
            self._use("eager")
            wanted = first(step())
            times = {"eager": self._timed(step)}
            # Fused projections are new weights, so they are for all shapes or none: the first shape decides.
            if self.fused is None:
                self._fuse(step, wanted, times)
            if getattr(self._model, "_repeated_blocks", None):
                self._try("compiled", lambda: self._use("compiled"), step, wanted, times)
            plain = min(times["eager"], times.get("fused", math.inf)) if self.fused else times["eager"]
            chosen = "compiled" if GAIN * times.get("compiled", math.inf) <= plain else "eager"
            best = min(plain, times.get(chosen, math.inf))
            if self._record and best <= SMALL:
                self._use(chosen)
                self._try("recorded", lambda: self._recorded(shape, arguments, options), step, wanted, times)
                if GAIN * times.get("recorded", math.inf) <= best:
                    chosen = "recorded"
                elif self._player:
                    self._player.forget(shape)
        finally:
            self._timing = False
        self.measured[shape] = {form: round(1000 * taken, 2) for form, taken in times.items()}
        return chosen

    def _recorded(self, shape: Hashable, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        assert self._record is not None
        self._player = self._player or Player(self._model, self._record)
        self._player.record(shape, arguments, options)
        self._player.play(shape)

    def _fuse(self, step: Callable[[], Any], wanted: Any, times: dict[str, float]) -> None:
        self.fused = False
        if not hasattr(self._model, "fuse_qkv_projections"):
            return
        self._try("fused", self._model.fuse_qkv_projections, step, wanted, times)
        self.fused = GAIN * times.get("fused", math.inf) <= times["eager"]
        if not self.fused:
            self._model.unfuse_qkv_projections()

    def _try(
        self, form: str, change: Callable[[], None], step: Callable[[], Any], wanted: Any, times: dict[str, float]
    ) -> None:
        """Time a form, where it runs and gives the same numbers."""
        # Compilers fail on some models and machines; the model as it was loaded always works.
        try:
            change()
            given = first(step())
            taken = self._timed(step)
        except (RuntimeError, TypeError, ValueError, AttributeError, ImportError, OSError) as error:
            log.warning("the %s form does not run", form, exc_info=error)
            return
        spread = max(float(wanted.float().std()), 1e-6)
        if float((given - wanted).abs().max()) / spread <= DRIFT:
            times[form] = taken
        else:
            log.warning("the %s form gives other numbers", form)

    def _timed(self, step: Callable[[], Any]) -> float:
        """Median seconds of a step that is warm."""
        taken: list[float] = []
        for number in range(WARM + TIMED):
            self._wait()
            begun = time.perf_counter()
            step()
            self._wait()
            if number >= WARM:
                taken.append(time.perf_counter() - begun)
        return statistics.median(taken)

    def _wait(self) -> None:
        if self._device.startswith("cuda"):
            importlib.import_module("torch").cuda.synchronize()

    def _use(self, form: str, shape: Hashable = None) -> None:
        """Switch to a form; compiled code is kept and only taken out of the way. Recordings are of one shape each."""
        if self._player:
            self._player.play(shape if form == "recorded" else None)
        if form == "compiled" and not self._compiled:
            torch: Any = importlib.import_module("torch")
            # The default of eight is for all shapes together; the ninth would run uncompiled without a word.
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 4 * SHAPES)
            self._model.compile_repeated_blocks(fullgraph=True, dynamic=False, backend=self._compiler)
            parts = [part for part in self._model.modules() if part._compiled_call_impl is not None]
            self._compiled = [(part, part._compiled_call_impl) for part in parts]
        for part, call in self._compiled:
            part._compiled_call_impl = call if form == "compiled" else None


def shape_of(value: Any) -> Hashable:
    """Shapes of all tensors in a step's arguments."""
    torch: Any = importlib.import_module("torch")
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        return tuple(shape_of(each) for each in value.values())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return tuple(shape_of(each) for each in value)  # pyright: ignore[reportUnknownVariableType]
    return None


def first(output: Any) -> Any:
    """The tensor in what a model returns: a tuple, or a record with `sample`."""
    torch: Any = importlib.import_module("torch")
    while not isinstance(output, torch.Tensor):
        output = output[0]
    return output

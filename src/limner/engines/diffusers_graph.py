"""A model's step for one shape, recorded: its hundreds of kernels are launched as one, for the price of one launch.

Where pictures are small, a GPU waits longer for the next launch than it computes. A recording reads its inputs where
they lay when it was made and writes where it wrote then, so inputs are copied in and the output out.
"""

import functools
import importlib
from collections.abc import Callable, Hashable
from typing import Any

# Runs the step once, remembers it, and gives what does the same again.
Record = Callable[[Callable[[], Any]], Callable[[], None]]


class Recording:
    """One shape's step of a model."""

    def __init__(
        self, step: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], record: Record
    ) -> None:
        self._tree: Any = importlib.import_module("torch.utils._pytree")
        leaves, self._form = self._tree.tree_flatten((arguments, options))
        # Where tensors are read; what is no tensor is part of the recording, and with another value another step.
        self._own = [_copied(leaf) for leaf in leaves]
        again, named = self._tree.tree_unflatten(self._own, self._form)
        self._output: Any = None

        def run() -> Any:
            self._output = step(*again, **named)
            return self._output

        self._replay = record(run)

    def fits(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> list[Any] | None:
        """What `play` takes, where these arguments are those of the recording but for the numbers in their tensors."""
        leaves, form = self._tree.tree_flatten((arguments, options))
        same = form == self._form and all(_alike(own, leaf) for own, leaf in zip(self._own, leaves, strict=True))
        return leaves if same else None

    def play(self, leaves: list[Any]) -> Any:
        """The step's output with the numbers in these tensors."""
        for own, leaf in zip(self._own, leaves, strict=True):
            if _is_tensor(own):
                own.copy_(leaf)
        self._replay()
        # The next replay writes over it.
        return self._tree.tree_map(_copied, self._output)


class Player:
    """Stands in for a model's `forward`: plays the recording that fits, else calls the model itself."""

    def __init__(self, model: Any, record: Record) -> None:
        self._plain = model.forward
        self._record = record
        self._recordings: dict[Hashable, Recording] = {}
        self._playing: Hashable = None
        # So that who looks at the signature sees the model's.
        functools.update_wrapper(self, model.forward)
        model.forward = self

    def record(self, shape: Hashable, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Record the step of a shape. Raises RuntimeError where the model does what cannot be recorded."""
        self._playing = None
        self._recordings[shape] = Recording(self._plain, arguments, options, self._record)

    def play(self, shape: Hashable) -> None:
        """Play this shape's recording from now on; None plays none."""
        self._playing = shape

    def forget(self, shape: Hashable = None) -> None:
        """Give a recording's memory back; None: all of it."""
        self._playing = None
        if shape is None:
            self._recordings.clear()
        else:
            self._recordings.pop(shape, None)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        recording = self._recordings.get(self._playing)
        leaves = recording.fits(arguments, options) if recording else None
        if recording is None or leaves is None:
            return self._plain(*arguments, **options)
        return recording.play(leaves)


def on_cuda(run: Callable[[], Any]) -> Callable[[], None]:
    """A CUDA graph of what `run` launches."""
    torch: Any = importlib.import_module("torch")
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    # What is set up on a first run must not be part of the graph.
    with torch.cuda.stream(aside):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def _is_tensor(value: Any) -> bool:
    return isinstance(value, importlib.import_module("torch").Tensor)


def _copied(value: Any) -> Any:
    return value.clone() if _is_tensor(value) else value


def _alike(own: Any, other: Any) -> bool:
    if not (_is_tensor(own) and _is_tensor(other)):
        return not _is_tensor(own) and not _is_tensor(other) and own == other
    return (own.shape, own.dtype, own.device) == (other.shape, other.dtype, other.device)

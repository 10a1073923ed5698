"""``evaluator embed``: a t-SNE of a trained network's features."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from evaluator.options import FEWEST, EmbedCommand
from focus.cells import write_rows
from focus.data.faces import FaceDataset
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.data.sources import open_source
from focus.detectors import Trainable
from focus.errors import CheckFailedError, InputError, count_of
from focus.files import replace_file, unwritable
from focus.generation.command import RUNS
from focus.generation.running import QUIET
from focus.runs import choose_weights, load_network, read_run
from focus.runtime import Progress, Runtime, note
from focus.types import FAKE, REAL, Failure

COMPONENTS = 50
CLASSES = 2  # most outputs of a layer that classifies real and fake
LABELS = {REAL: "real", FAKE: "fake"}
# The colour-blind-safe palette of Okabe and Ito; real faces are grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
REAL_COLOUR = "#8a8f96"
MOST_GROUPS = 24


def embed_command(command: EmbedCommand) -> None:
    """Write ``embedding.csv`` (key, label, method, split, x, y) and ``embedding.png``.

    Raises:
        InputError: no run or no faces, unknown layer, or a folder that cannot be written.
        CheckFailedError: some faces could not be read; the result covers the others.
    """
    quiet = command.runtime.quiet
    if command.weights:
        path = Path(command.weights)
    else:
        path, origin = choose_weights(RUNS, command.method)
        note(f"weights: {path}, {origin}", quiet)
    run = read_run(path)
    if command.method not in ("", run.kind):
        raise InputError(f"--weights {path}: is a {run.kind} run, not a {command.method} run")
    index = spread_evenly(open_source(command.source, quiet), command.sample)
    found, failures = extract_features(
        load_network(run),
        index,
        command.layer,
        command.runtime,
        batch=command.batch,
        workers=command.workers,
        stills=command.stills,
    )
    failed = {failure.row for failure in failures}
    index = index.take(np.array([row not in failed for row in range(len(index))], dtype=bool))
    if len(index) < FEWEST:
        raise InputError(
            f"{count_of(len(index), 'face')} could be read; at least {FEWEST} are needed"
        )
    faces = count_of(len(index), "face")
    note(f"t-SNE of {faces}, {count_of(found.shape[1], 'feature')} each", quiet)
    places = lay_out(found, command.perplexity, command.runtime.seed)
    folder = command.out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    write_places(folder / "embedding.csv", index, places)
    title = f"{run.kind}: {faces}"
    draw_places(folder / "embedding.png", places, name_groups(index, command.colour), title)
    print(f"{folder}: embedding.csv, embedding.png of {faces}")
    if failures:
        first = failures[0]
        raise CheckFailedError(
            f"{count_of(len(failures), 'face')} could not be read and were left "
            f"out, such as {first.key}: "
            f"{first.reason}"
        )


def spread_evenly(index: FaceIndex, count: int) -> FaceIndex:
    """Return ``count`` faces spread evenly over an index; all if fewer, or if ``count`` is 0."""
    if not count or len(index) <= count:
        return index
    return index.take(np.linspace(0, len(index) - 1, count).round().astype(int))


def extract_features(
    network: Trainable,
    index: FaceIndex,
    layer: str = "",
    runtime: Runtime = QUIET,
    *,
    batch: int = 32,
    workers: int = 0,
    stills: bool = False,
) -> tuple[np.ndarray, list[Failure]]:
    """Return features of faces, float32 (N, D), and the faces that cannot be read.

    Features are the output of module ``layer``; without ``layer``, the input of the last linear
    layer with at most two outputs, or of the last linear layer if none has so few. Tokens,
    positions and frames are averaged.

    Raises:
        InputError: no such module, a module that does not run or does not output a row per face,
            or a network without a linear layer.
    """
    accelerator = runtime.accelerator()
    network = network.to(accelerator.device).eval()
    spec = network.input_spec
    faces = FaceDataset(index, spec.image_size, frames=spec.frames, stills=stills)
    rows = [list(range(k, min(k + batch, len(index)))) for k in range(0, len(index), batch)]
    found: list[np.ndarray] = []
    failures: list[Failure] = []
    with Progress(len(index), "features", quiet=runtime.quiet) as progress, torch.no_grad():
        for some in build_loader(faces, rows, workers, pin=accelerator.device.type == "cuda"):
            failures += some.failures
            if some.keys:
                images = spec.standardise(some.images.to(accelerator.device))
                with accelerator.autocast():
                    found.append(_features(network, images, layer).float().cpu().numpy())
            progress.advance(len(some.keys) + len(some.failures))
    return (np.concatenate(found) if found else np.zeros((0, 0), dtype=np.float32)), failures


def lay_out(features: np.ndarray, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Return t-SNE positions (N, 2) of features (N, D), after PCA to at most 50 components.

    ``perplexity`` is limited to a third of the number of faces.
    """
    components = min(COMPONENTS, *features.shape)
    with np.errstate(invalid="ignore"):  # constant features: PCA divides by zero variance
        reduced = PCA(components, random_state=seed).fit_transform(features)
    neighbours = min(perplexity, (len(features) - 1) / 3)
    init = "pca" if components > 1 else "random"
    return TSNE(2, perplexity=neighbours, init=init, random_state=seed).fit_transform(reduced)


def write_places(path: Path, index: FaceIndex, places: np.ndarray) -> None:
    """Write the CSV: key, label, method, split, x, y."""
    columns = (index.keys, index.labels.tolist(), index.column("method"), index.column("split"))
    with (
        replace_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        rows = zip(*columns, places.tolist(), strict=True)
        placed = ([*facts, f"{x:.4f}", f"{y:.4f}"] for *facts, (x, y) in rows)
        write_rows(file, ("key", "label", "method", "split", "x", "y"), placed)


def name_groups(index: FaceIndex, colour: str) -> list[str]:
    """Return the group of every face: its method or label; real faces are one group."""
    named = [LABELS.get(label, "unknown") for label in index.labels.tolist()]
    if colour == "label":
        return named
    methods = index.column("method")
    return [
        kind if kind == LABELS[REAL] else method or kind
        for kind, method in zip(named, methods, strict=True)
    ]


def draw_places(path: Path, places: np.ndarray, groups: Sequence[str], title: str) -> None:
    """Draw the scatter plot: groups differ by colour and marker; larger groups are drawn first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = Counter(groups)
    shown = [name for name, _ in counts.most_common(MOST_GROUPS)]
    rest = len(counts) - len(shown)
    figure = Figure(figsize=(8, 6), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    names = np.array(groups, dtype=object)
    for name, style in _styles(shown).items():
        here = places[names == name]
        panel.scatter(
            here[:, 0], here[:, 1], s=16, linewidths=0.3, edgecolors="white", label=name, **style
        )
    if rest:
        here = places[~np.isin(groups, shown)]
        panel.scatter(
            here[:, 0], here[:, 1], s=8, color="#c8ccd2", label=f"{rest} others", zorder=0
        )
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_color("#c8ccd2")
    panel.set_aspect("equal", adjustable="datalim")
    panel.set_title(title, loc="left", fontsize=12, fontweight="bold", parse_math=False)
    legend = figure.legend(loc="outside right upper", frameon=False, fontsize=10, markerscale=1.6)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a method name may contain dollar signs
        count = counts.get(text.get_text(), 0)
        if count:
            text.set_text(f"{text.get_text()} ({count:,})")
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour and marker of every group; repeated colours get another marker."""
    fakes = sorted(name for name in names if name != LABELS[REAL])
    styles: dict[str, dict[str, Any]] = {
        name: {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
        }
        for place, name in enumerate(fakes)
    }
    if LABELS[REAL] in names:
        styles[LABELS[REAL]] = {"color": REAL_COLOUR, "marker": "o"}
    return {name: styles[name] for name in names}


class _LastLinear(TorchFunctionMode):
    """Record the input of the last linear layer that has a row per face.

    Intercepts ``F.linear`` rather than modules, so functional calls are seen as well.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.heads: Tensor | None = None  # of layers with at most two outputs
        self.any: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is F.linear and len(result) == self._count:
            given = args[0] if args else (kwargs or {})["input"]
            self.any = given
            if result.shape[-1] <= CLASSES:
                self.heads = given
        return result


def _features(network: Trainable, images: Tensor, layer: str) -> Tensor:
    """Return features (B, D) of standardised images."""
    if layer:
        with _outputs(network, layer) as seen:
            network.predict(images)
        found = seen[-1] if seen else None
        where = f"--layer {layer}"
        if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != len(images):
            what = "does not output a tensor with a row per face" if seen else "does not run"
            raise InputError(f"{where}: {what}; choose another module")
        return _pool(found)
    with _LastLinear(len(images)) as linear:
        network.predict(images)
    given = linear.any if linear.heads is None else linear.heads
    if given is None:
        raise InputError(
            "--layer is missing: this network has no linear layer with a row per face; name the "
            "module whose output to use"
        )
    return given if given.ndim == 2 else given.flatten(1, -2).mean(dim=1)


@contextmanager
def _outputs(network: nn.Module, layer: str) -> Iterator[list[Any]]:
    """Collect the outputs of a module."""
    modules = dict(network.named_modules())
    if layer not in modules:
        near = ", ".join(difflib.get_close_matches(layer, modules, n=3, cutoff=0.4))
        hint = f"near: {near}" if near else f"the outermost are {', '.join(list(modules)[1:6])}"
        raise InputError(f"--layer {layer}: no such module; {hint}")
    seen: list[Any] = []
    handle = modules[layer].register_forward_hook(lambda _m, _i, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()


def _pool(features: Tensor) -> Tensor:
    """Return (B, D) of (B, D), tokens (B, N, D), or planes (B, D, [T,] h, w) or (B, h, w, D)."""
    if features.ndim == 2:
        return features
    if features.ndim == 3:
        return features.mean(dim=1)
    shape = features.shape
    if features.ndim == 4 and shape[1] == shape[2] != shape[3]:
        return features.mean(dim=(1, 2))
    return features.flatten(2).mean(dim=2)

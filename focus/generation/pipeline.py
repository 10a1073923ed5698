"""Decode, compute and write in parallel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from focus.errors import InputError
from focus.generators.contract import Generator, PairGenerator
from focus.generators.mirrored import join_mirrored
from focus.mapstore.rows import NO_ROWS, Rows, encode, join
from focus.mapstore.writer import MapWriter
from focus.types import REAL, Batch, Failure, Prediction


class Flight(NamedTuple):
    """A batch whose results are being copied from the device."""

    batch: Batch
    maps: Tensor  # float32 (B, h, w) in [0, 1]
    scores: Tensor  # float32 (B,)
    sound: Tensor  # bool (B,): the map is in [0, 1]
    parts: Mapping[str, Tensor]
    done: torch.cuda.Event | None


def unfuse_attention(network: nn.Module) -> None:
    """Make timm's transformers compute attention with plain matrix products.

    On a CPU in bf16, torch's fused kernel takes twice as long as two batched products (197 tokens,
    six heads); in fp32 the fused kernel is faster.
    """
    module: Any
    for module in network.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False


class Network:
    """The generator on its device; synchronises once per batch, in :meth:`receive`.

    Args:
        generator: makes scores and maps.
        accelerator: its device and precision.
        real_maps: ``zero`` blanks the maps of faces labelled real.
        parts: keep the tensors behind the maps.
        place_of: maps a row to its frame in its clip, for a generator of clips.
        mirror: join each result with that of the mirrored face.

    Attributes:
        ahead: number of batches that may be sent before the first is received.
    """

    def __init__(
        self,
        generator: Generator,
        accelerator: Accelerator,
        real_maps: str,
        parts: bool,
        place_of: Callable[[int], int] = lambda _: 0,
        mirror: bool = False,
    ) -> None:
        self.place_of, self.mirror = place_of, mirror
        self.accelerator, self.device = accelerator, accelerator.device
        self.zeroed, self.parts = real_maps == "zero", parts
        self.generator = generator.to(self.device).eval()
        if self.device.type == "cpu" and accelerator.mixed_precision == "bf16":
            unfuse_attention(generator)
        self.input_spec = generator.input_spec
        self.predict = self._predict
        self.ahead = 1 if self.device.type == "cuda" else 0
        self._scored: bool | None = None
        self._buffer = torch.empty(0)

    def compile(self) -> None:
        """Compile the generator with torch at the first batch."""
        self.predict = torch.compile(self._predict)

    def _predict(self, images: Tensor, companions: Tensor | None) -> Prediction:
        if isinstance(self.generator, PairGenerator):
            assert companions is not None
            return self.generator.compare(images, companions)
        return self.generator.predict(images)

    def _flatten(self, prediction: Prediction, batch: Batch) -> Tensor:
        """Return maps (B, h, w): of a clip, the row's frame; without maps, the score."""
        maps = prediction.maps
        if maps is None:
            maps = prediction.scores[:, None, None, None]
        if maps.ndim == 5 and maps.shape[1] == 1:  # (B, 1, T, h, w)
            places = [self.place_of(row) for row in batch.rows.tolist()]
            maps = maps[range(len(maps)), :, places]
        if maps.ndim != 4 or maps.shape[1] != 1:
            raise InputError(
                f"the generator's predict returned maps of shape {tuple(maps.shape)}, not "
                "(B, 1, h, w)"
            )
        return maps[:, 0].float()

    @torch.no_grad()
    def send(self, batch: Batch) -> Flight:
        """Start a batch and return without waiting for it."""
        if not batch.keys:
            nothing = torch.zeros(0)
            return Flight(batch, nothing, nothing, nothing, {}, None)
        images = batch.images.to(self.device, non_blocking=True)
        others = batch.companions
        if others is not None:
            others = others.to(self.device, non_blocking=True)
        images = self._standardise(images)
        scores, maps, kept = self._compute(images, others, batch)
        if self.mirror:
            scores, maps = join_mirrored(
                scores, maps, *self._compute(images.flip(-1), None, batch)[:2]
            )
        # Comparisons with NaN are false, so this finds NaN too. The tolerance is for rounding.
        sound = (maps - 0.5).abs().amax(dim=(1, 2)) <= 0.501
        maps = maps.clamp(0, 1)
        parts = {name: self._fetch(part) for name, part in kept.items()}
        results = self._fetch(maps), self._fetch(scores), self._fetch(sound)
        done = None
        if self.device.type == "cuda":
            done = torch.cuda.Event()
            done.record()
        return Flight(batch, *results, parts, done)

    def _compute(
        self, images: Tensor, companions: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        """Return scores (B,), maps (B, h, w) and the parts to keep, of standardised images."""
        with self.accelerator.autocast():
            prediction = self.predict(images, companions)
        if self.zeroed:
            prediction = self.generator.supervise(prediction, batch.labels.to(self.device))
        kept = prediction.parts if self.parts and prediction.parts else {}
        return prediction.scores.float(), self._flatten(prediction, batch), kept

    def receive(self, flight: Flight) -> tuple[Rows, tuple[Failure, ...]]:
        """Wait for a batch; return its rows and its unreadable faces.

        Raises:
            InputError: a map with NaN or values outside [0, 1], or a missing score.
        """
        if not flight.batch.keys:
            return NO_ROWS, flight.batch.failures
        if flight.done is not None:
            flight.done.synchronize()
        scores, sound = flight.scores.numpy(), flight.sound.numpy()
        scored = ~np.isnan(scores)
        if self._scored is None:
            self._scored = bool(scored.any())
        for fine, what in ((sound, "map"), (scored | (not self._scored), "score")):
            if not fine.all():
                key = flight.batch.keys[int(np.argmin(fine))]
                raise InputError(
                    f"{key}: the generator's {what} is NaN or outside [0, 1]; damaged weights, or "
                    "a network that overflows at this --precision"
                )
        maps = flight.maps.numpy()
        labels = flight.batch.labels.numpy().astype(np.int8)
        if self.zeroed:
            maps[labels == REAL] = 0
        parts = {name: part.numpy() for name, part in flight.parts.items()}
        rows = Rows(flight.batch.keys, *encode(maps), labels, scores, parts)
        return rows, flight.batch.failures

    def _standardise(self, images: Tensor) -> Tensor:
        """Return standardised images; on a CPU, reuse the same memory."""
        if self.device.type != "cpu":
            return self.input_spec.standardise(images)
        if len(self._buffer) < len(images):
            self._buffer = torch.empty_like(images, dtype=torch.float32)
        return self.input_spec.standardise(images, out=self._buffer[: len(images)])

    def _fetch(self, values: Tensor) -> Tensor:
        """Start the copy to the host (from a GPU, into pinned memory)."""
        if values.dtype == torch.bfloat16:  # NumPy has no bfloat16
            values = values.float()
        # Always copy: a generator may return a view of its input, whose memory is reused.
        return values.detach().to("cpu", non_blocking=True, copy=True)


class PartWriter:
    """Collect rows into parts and write them in a thread, at most one at a time.

    Args:
        writer: the map file.
        blocks: part number -> its index rows, in the order of arrival.
    """

    def __init__(self, writer: MapWriter, blocks: Mapping[int, range]) -> None:
        self.writer = writer
        self.slowest = 0.0
        self._blocks = iter(blocks.items())
        self._block, self._rows = next(self._blocks)
        self._pieces: list[Rows] = []
        self._failures: list[Failure] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="map-writer")
        self._written: Future[None] | None = None
        self._began = time.monotonic()

    def add(self, rows: Rows, failures: Sequence[Failure]) -> None:
        """Add a batch; a part is written once all its rows have arrived.

        Raises:
            InputError: an earlier part could not be written.
        """
        self._pieces.append(rows)
        self._failures += failures
        if self._written is not None and self._written.done():
            self._written.result()
        if sum(map(len, self._pieces)) + len(self._failures) == len(self._rows):
            self._submit()

    def _submit(self) -> None:
        if self._written is not None:
            self._written.result()
        pieces, failures = self._pieces, self._failures
        self._written = self._thread.submit(self._write, self._block, pieces, failures)
        self._pieces, self._failures = [], []
        now = time.monotonic()
        self.slowest, self._began = max(self.slowest, now - self._began), now
        self._block, self._rows = next(self._blocks, (-1, range(0)))

    def _write(self, block: int, pieces: Sequence[Rows], failures: Sequence[Failure]) -> None:
        self.writer.write_part(block, join(pieces), failures)

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None and self._written is not None:
            self._written.result()

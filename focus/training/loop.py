"""The training loop: optimise, validate on ``val``, save the best weights, resume."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object, send_to_device
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from focus.data.faces import FaceDataset
from focus.data.loading import TrainingPlan, build_loader
from focus.detectors import Trainable
from focus.errors import InputError, count_of
from focus.optim import build_optimizer, learning_rate
from focus.ranking import score_auc
from focus.runs import RunFolder, save_weights
from focus.runtime import Progress, Runtime, note, seed_everything
from focus.training.checkpoint import load_state, save_state
from focus.training.journal import Journal
from focus.training.options import FitConfig
from focus.training.trackers import Trackers
from focus.types import FAKE, REAL, Batch, Failure, Prediction

REPORTED_FAILURES = 20
LAUNCHER_SECONDS = 5.0  # a launcher may repeat a signal to its processes within this time


class Step(nn.Module):
    """The loss inside ``forward``, as synchronised gradients and autocast need it."""

    def __init__(self, network: Trainable) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the loss terms of a batch of uint8 images."""
        return self.network.loss(batch.standardised(self.network.input_spec))


@dataclass(frozen=True)
class Report:
    """Result of a training."""

    step: int
    best_auc: float
    best_step: int
    seconds: float
    failures: tuple[Failure, ...] = ()


class Fit:
    """One training of one network.

    Args:
        network: the network to train (see :class:`~focus.detectors.Trainable`).
        train, val: faces for training, and for model selection.
        config: how to train.
        runtime: device, precision and seed.
        folder: receives weights and the journal, after its configuration.
    """

    def __init__(
        self,
        network: Trainable,
        train: FaceDataset,
        val: FaceDataset,
        config: FitConfig,
        runtime: Runtime,
        folder: RunFolder,
    ) -> None:
        self.train, self.val, self.config, self.runtime, self.folder = (
            train,
            val,
            config,
            runtime,
            folder,
        )
        self.accelerator: Accelerator = runtime.accelerator(config.accumulation)
        network.begin(config.steps * config.accumulation)
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            # Statistics over the global batch, as with one process; not available on CPUs.
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        network.to(self.accelerator.device)
        for weights in network.parameters():
            if weights.ndim == 4:  # not per module: those with 3-D convolutions reject this layout
                weights.data = weights.data.contiguous(memory_format=torch.channels_last)
        self.network = network
        self.average: Any = None
        if config.ema:
            self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
        self.optimizer = build_optimizer(network, config.optimizer)
        self.step, self.best, self.best_step = 0, -1.0, 0
        self.seconds = 0.0
        self.failures: dict[str, Failure] = {}
        self._interrupted = 0.0  # time of the first signal
        self._asked: Tensor | None = None  # number of processes asked to stop by the previous step

    def run(self, resume: bool = False) -> Report:
        """Train to the end (or to ``stop_after``) and return the report.

        Raises:
            InputError: the loss is not finite, memory ran out, or the resume file is broken or not
                seen by all processes.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, with the work saved.
        """
        if resume and self.folder.resume.exists():
            self._load()
        self._check_together()
        journal = self._open_journal() if self.accelerator.is_main_process else None
        try:
            with self._signals(), self._memory():
                self._train(journal)
        finally:
            if journal is not None:
                journal.close()
        failures = tuple(self.failures.values())
        return Report(self.step, self.best, self.best_step, self.seconds, failures)

    def _open_journal(self) -> Journal:
        folder, names = self.folder.path, self.config.track
        others = tuple(name for name in names if name != "tensorboard")
        trackers = Trackers(self.accelerator, others, folder, self.folder.config)
        return Journal(folder, self.step, "tensorboard" in names, trackers)

    def _train(self, journal: Journal | None) -> None:
        config, accelerator = self.config, self.accelerator
        last = min(config.stop_after or config.steps, config.steps)
        step_module, optimizer = accelerator.prepare(Step(self.network), self.optimizer)
        place = (accelerator.process_index, accelerator.num_processes)
        plan = TrainingPlan(
            self.train.index,
            config.batch,
            (self.step, last),
            config.balance,
            self.runtime.seed,
            place,
            config.accumulation,
            config.augmentation.forged_share,
        )
        pin = accelerator.device.type == "cuda"
        batches = iter(build_loader(self.train, plan, config.workers, pin))
        quiet = self.runtime.quiet or not accelerator.is_main_process
        started, terms = time.monotonic() - self.seconds, dict[str, Tensor]()
        try:
            with Progress(config.steps, "training", "steps", quiet) as progress:
                progress.advance(self.step)
                while self.step < last and not self._must_stop():
                    seed_everything(self.runtime.seed, self.step, accelerator.process_index)
                    rate = learning_rate(self.step, config.steps, config.optimizer)
                    terms = self._step(step_module, optimizer, batches, rate)
                    self.step += 1
                    self.seconds = time.monotonic() - started
                    detail = ""
                    if self.step % config.validate_every == 0 or self.step == last:
                        numbers = {f"train/{k}": float(v) for k, v in terms.items()}
                        self._check_finite(numbers)
                        detail = self._validate(journal, {"rate": rate, **numbers})
                    progress.advance(1, detail)
        finally:
            # Ends the workers. A frame that outlives its call, as plotting leaves some, would end
            # them at a garbage collection, which closes their queues first and then waits for them.
            del batches
        if self.step < last or (self._interrupted and accelerator.num_processes == 1):
            self._check_finite({k: float(v) for k, v in terms.items()})
            self._save(journal)
            accelerator.wait_for_everyone()  # no process exits before the main one has saved
            raise KeyboardInterrupt
        if accelerator.num_processes > 1:
            self.failures = dict(sorted(gather_object(list(self.failures.items()))))

    def _must_stop(self) -> bool:
        """Return whether any process got a signal to stop; all processes agree on the step."""
        if self.accelerator.num_processes == 1:
            return bool(self._interrupted)
        asked = self._asked  # read one step late, so that the GPU need not synchronise
        wanted = torch.tensor(float(bool(self._interrupted)), device=self.accelerator.device)
        self._asked = self.accelerator.reduce(wanted)
        return asked is not None and bool(asked.item())

    def _check_together(self) -> None:
        """Raise InputError if not all processes see the same run."""
        if self.accelerator.num_processes == 1:
            return
        steps = sorted(set(gather_object([self.step])))
        if len(steps) > 1:
            raise InputError(
                f"{self.folder.path}: some processes resume from step {steps[-1]}, others from "
                f"{steps[0]}; all machines must see the same folder"
            )

    def _step(
        self, step_module: nn.Module, optimizer: Any, batches: Iterator[Batch], rate: float
    ) -> dict[str, Tensor]:
        """Take one optimiser step and return its terms, mean over micro-batches."""
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        total: dict[str, Tensor] = {}
        for _ in range(self.config.accumulation):
            batch = next(batches)
            self._count(batch.failures)
            if not batch.keys:
                first = batch.failures[0]
                raise InputError(f"no face of a batch can be read: {first.key}: {first.reason}")
            batch = batch._replace(failures=())
            batch = send_to_device(batch, self.accelerator.device, non_blocking=True)
            with self.accelerator.accumulate(step_module):
                terms = step_module(batch)
                self.accelerator.backward(sum(terms.values()))
                if self.accelerator.sync_gradients:
                    self._clip(step_module)
                optimizer.step()
                optimizer.zero_grad()
            for name, value in terms.items():
                share = value.detach() / self.config.accumulation
                total[name] = total[name] + share if name in total else share
        if self.average is not None:
            self.average.update_parameters(self.network)
        return total

    def _clip(self, step_module: nn.Module) -> None:
        """Bound the gradient's norm or values, if the optimiser's configuration says so."""
        config = self.config.optimizer
        if config.clip:
            self.accelerator.clip_grad_norm_(step_module.parameters(), config.clip)
        if config.clip_value:
            self.accelerator.clip_grad_value_(step_module.parameters(), config.clip_value)

    def _count(self, failures: Sequence[Failure]) -> None:
        """Report each unreadable face once, or stop at the first."""
        for failure in failures:
            if self.config.on_error == "stop":
                raise InputError(
                    f"{failure.key}: {failure.reason}; --on-error skip skips such faces"
                )
            if failure.key not in self.failures and len(self.failures) < REPORTED_FAILURES:
                note(f"skipped {failure.key}: {failure.reason}", self.runtime.quiet, True)
            self.failures[failure.key] = failure

    def _validate(self, journal: Journal | None, numbers: dict[str, float]) -> str:
        """Validate on ``val``, save the state (and the weights if best), and return a summary."""
        judged = self.average.module if self.average is not None else self.network
        if self.accelerator.num_processes > 1:
            # On CPUs each process has its own batch statistics; use those of the main process.
            for statistics in judged.buffers():
                statistics.copy_(broadcast(statistics.clone(memory_format=torch.contiguous_format)))
        scores, labels, failures = predict_scores(judged, self.val, self.config, self.accelerator)
        self._count(failures)
        auc = score_auc(labels, scores)
        chance = np.where(labels == FAKE, scores, 1 - scores)
        loss = float(-np.log(np.clip(chance, 1e-6, 1)).mean())
        self._check_finite({"val/loss": loss})
        if auc >= self.best:  # on a tie prefer the later step
            self.best, self.best_step = auc, self.step
            if self.accelerator.is_main_process:
                self.folder.create()
                save_weights(judged, self.folder.best)
        if journal is not None:
            seconds = round(self.seconds, 3)
            journal.write(
                self.step, {**numbers, "val/auc": auc, "val/loss": loss, "seconds": seconds}
            )
        self._save(journal)
        return f"val AUC {auc:.4f}"

    def _save(self, journal: Journal | None) -> None:
        if journal is None:
            return
        self.folder.create()
        journal.save()  # first: surplus rows are dropped on resume, missing ones would be lost
        judged = self.average.module if self.average is not None else self.network
        save_weights(judged, self.folder.last)
        scaler = self.accelerator.scaler
        facts = {
            "step": self.step,
            "best": self.best,
            "best_step": self.best_step,
            "seconds": self.seconds,
            "scaler": scaler.state_dict() if scaler is not None else {},
        }
        save_state(self.folder.resume, self.network, self.optimizer, self.average, facts)

    def _load(self) -> None:
        facts = load_state(self.folder.resume, self.network, self.optimizer, self.average)
        self.step, self.best, self.best_step = facts["step"], facts["best"], facts["best_step"]
        self.seconds = facts["seconds"]
        if self.accelerator.scaler is not None and facts["scaler"]:
            self.accelerator.scaler.load_state_dict(facts["scaler"])

    def _check_finite(self, numbers: Mapping[str, float]) -> None:
        wrong = [name for name, value in numbers.items() if not np.isfinite(value)]
        if wrong:
            raise InputError(
                f"the loss is not finite at step {self.step} ({', '.join(wrong)}); lower --lr, or "
                f"use --precision fp32; {self.folder.path} still holds the last good state"
            )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Finish the current step on the first Ctrl-C or SIGTERM; stop at once on the second."""
        patience = LAUNCHER_SECONDS if self.accelerator.num_processes > 1 else 0.0

        def stop(number: int, _: Any) -> None:
            now = time.monotonic()
            if self._interrupted and now - self._interrupted >= patience:
                raise KeyboardInterrupt
            self._interrupted = self._interrupted or now

        kept = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    @contextmanager
    def _memory(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and (
                "can't allocate memory" not in str(error)
            ):
                raise
            micro = self.config.batch // self.config.accumulation
            raise InputError(
                f"the memory of {self.accelerator.device} is too small for "
                f"{count_of(micro, 'face')} at once; "
                f"use --accumulation {self.config.accumulation * 2} (the same result) or a "
                "smaller --batch"
            ) from None


def predict_scores(
    network: Trainable, faces: FaceDataset, config: FitConfig, accelerator: Accelerator
) -> tuple[np.ndarray, np.ndarray, list[Failure]]:
    """Return P(fake) and labels of the readable faces, in index order, over all processes.

    Failures are those of this process only.
    """
    size = max(config.batch // (config.accumulation * accelerator.num_processes), 1)
    rows = list(range(accelerator.process_index, len(faces), accelerator.num_processes))
    batches = [rows[k : k + size] for k in range(0, len(rows), size)]
    found: list[tuple[int, float, int]] = []
    failures: list[Failure] = []
    was_training = network.training
    network.eval()
    for batch in build_loader(faces, batches, config.workers):
        failures += batch.failures
        if batch.keys:
            moved = send_to_device(batch._replace(failures=()), accelerator.device)
            with torch.no_grad(), accelerator.autocast():
                images = moved.standardised(network.input_spec).images
                prediction: Prediction = network.predict(images)
            scores = prediction.scores.float().tolist()
            found += zip(batch.rows.tolist(), scores, batch.labels.tolist(), strict=True)
    network.train(was_training)
    if accelerator.num_processes > 1:
        found = gather_object(found)
    ordered = np.array(sorted(found))
    if not len(ordered) or {REAL, FAKE} - set(ordered[:, 2].astype(int)):
        raise InputError("val: needs readable faces of both labels")
    return ordered[:, 1], ordered[:, 2].astype(int), failures

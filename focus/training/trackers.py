"""Experiment trackers beside the journal's CSV: TensorBoard by ourselves, others by accelerate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from focus.errors import InputError, first_line, shorten
from focus.runtime import note

if TYPE_CHECKING:
    from accelerate import Accelerator

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio", "comet_ml", "aim", "swanlab"]
PROJECT = "focus-forgery"
EXTRAS = ("wandb", "mlflow")  # of pyproject.toml


def check_trackers(names: tuple[Tracker, ...]) -> None:
    """Check that the package of every tracker is installed; imports none.

    Raises:
        InputError: a missing one, with the command that installs it.
    """
    for name in names:
        if find_spec(name) is None:
            package = f"'focus-forgery[{name}]'" if name in EXTRAS else name.replace("_", "-")
            raise InputError(f"--track {name}: not installed: pip install {package}")


class Trackers:
    """The trackers that accelerate knows, each started with the settings of the run.

    A tracker that fails during the training is noted and closed; the training continues.

    Args:
        accelerator: of the training; call this in its main process.
        names: trackers except TensorBoard.
        folder: the run's folder, whose name is the run's in the tracker.
        settings: of the run, nested JSON values.

    Raises:
        InputError: a tracker cannot be started.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        names: tuple[Tracker, ...],
        folder: Path,
        settings: Mapping[str, Any],
    ) -> None:
        from accelerate.tracking import filter_trackers

        self._open: list[Any] = []
        name = f"{folder.parent.name}/{folder.name}".strip("/")
        for tracker in names:
            accelerator.log_with = filter_trackers([tracker], str(folder))
            accelerator.trackers = []
            more = {key: {keyword: name} for key, keyword in _RUN_NAMES.items()}
            try:
                accelerator.init_trackers(PROJECT, flatten(settings), more)
            except Exception as error:  # each package raises its own types
                raise InputError(f"--track {tracker}: cannot start ({_reason(error)})") from None
            if not accelerator.trackers:
                raise InputError(f"--track {tracker}: accelerate does not find the package")
            self._open += accelerator.trackers

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Send the numbers of a step."""
        self._open = [
            tracker
            for tracker in self._open
            if self._try(tracker, lambda each: each.log(dict(numbers), step=step))
        ]

    def close(self) -> None:
        """End the run in every tracker."""
        for tracker in self._open:
            self._try(tracker, lambda each: each.finish())

    @staticmethod
    def _try(tracker: Any, call: Callable[[Any], None]) -> bool:
        """Call a tracker; return whether it succeeded, and note if not."""
        try:
            call(tracker)
        except Exception as error:  # each package raises its own types
            note(f"--track {tracker.name}: failed ({_reason(error)}); training continues")
            return False
        return True


_RUN_NAMES = {"wandb": "name", "mlflow": "run_name", "trackio": "name"}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as ``a.b`` -> number or text, as trackers take them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{name}.")
        else:
            plain = isinstance(value, (int, float, str))
            found[f"{prefix}{name}"] = value if plain else str(value)
    return found


def _reason(error: Exception) -> str:
    return shorten(first_line(error), 160)

"""``focus weights``: list released models, show one, fetch one. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from focus.config import to_json
from focus.errors import InputError, printable
from focus.output import present
from focus.released.catalogue import (
    cache_folder,
    fetch_model,
    find_model,
    local_models,
    model_names,
    read_catalogue,
)
from focus.released.record import read_record

_USAGE = "use: focus weights list, focus weights info NAME, or focus weights fetch NAME"


@dataclass(frozen=True)
class WeightsCommand:
    """Released models."""

    words: tuple[str, ...] = ("list",)
    """list; info NAME: data, figures and limits of a model; fetch NAME: copy it to this machine."""
    file: Path | None = None
    """For fetch: a file that was downloaded already."""
    json: Path | None = None
    """Write the result as JSON to this file; -: print it."""


def weights_command(command: WeightsCommand) -> None:
    """Run ``focus weights``.

    Raises:
        InputError: an unknown word or name, a damaged file, or no connection.
    """
    action, *names = command.words or ("list",)
    if action not in ("list", "info", "fetch") or len(names) != (action != "list"):
        raise InputError(f"focus weights {' '.join(command.words)}: {_USAGE}")
    if command.file and action != "fetch":
        raise InputError("--file applies to focus weights fetch NAME")
    if action == "list":
        _list(command)
    elif action == "info":
        _show(names[0], command)
    else:
        path = fetch_model(names[0], command.file)
        present({"name": names[0], "file": str(path)}, f"{names[0]}: {path}", command.json)


def _list(command: WeightsCommand) -> None:
    here, known = local_models(), read_catalogue()
    entries, lines = [], []
    for name in model_names():
        path = here.get(name)
        if path is not None:
            about = read_record(path).trained_on or "training data not recorded"
            place = f"{path.stat().st_size / 1e6:.1f} MB"
        else:
            about = known[name].summary if name in known else f"goes into {cache_folder()}"
            place = "to fetch" if name in known else "missing"
        entries.append({"name": name, "file": str(path or ""), "state": place, "about": about})
        lines.append(f"{name:16} {place:>9}  {printable(about)}")
    present(entries, "\n".join(lines), command.json)


def _show(name: str, command: WeightsCommand) -> None:
    path = Path(name) if Path(name).is_file() else find_model(name)
    model = read_record(path)
    values = {"file": str(path), **to_json(model)}
    lines = [f"{model.name}: {model.detector}, {path.stat().st_size / 1e6:.1f} MB ({path})"]
    lines.append(f"trained on: {model.trained_on or 'not recorded'}")
    calibration = model.calibration
    if calibration is None:
        lines.append("not calibrated: its scores are not probabilities, and it gives no verdict")
    else:
        error = "" if calibration.error is None else f"; calibration error {calibration.error:.3f}"
        lines.append(
            f"P(fake) below {calibration.low:.3g}: no sign of manipulation; from "
            f"{calibration.high:.3g} on: signs of manipulation; cannot say between{error}"
        )
    limits = ", ".join(f"{name} {value:g}" for name, value in to_json(model.limits).items())
    lines.append(f"limits: {limits}")
    if model.card:
        lines += ["", model.card.strip()]
    else:
        lines += [f"{figure}: {value}" for figure, value in model.figures.items()]
    text = "\n".join(printable(line) for block in lines for line in block.split("\n"))
    present(values, text, command.json)

"""``from_pretrained``, ``save_pretrained`` and ``push_to_hub`` of every detector."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, TypeVar

from focus.detectors import DETECTORS, Trainable
from focus.errors import InputError
from focus.pretrained.command import push_run
from focus.runs import load_network, read_run, write_run

T = TypeVar("T", bound="Pretrained")


class Pretrained(Trainable):
    """A detector that can be loaded from a folder or the Hugging Face Hub, and saved there."""

    @classmethod
    def from_pretrained(cls: type[T], name: str | Path, **settings: Any) -> T:
        """Return a trained detector in evaluation mode.

        Args:
            name: a run folder, its weights file, a released model, or ``hf:owner/name``; a local
                folder goes first.
            settings: changes to its configuration.

        Raises:
            InputError: no such run, a run of another detector, or weights that do not fit.
        """
        run = read_run(Path(name))
        network = load_network(run, settings)
        if not isinstance(network, cls):
            raise InputError(f"{name}: is a {run.kind} run, not of {cls.__qualname__}")
        return network.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the detector as a run folder, which every ``--weights`` takes.

        Raises:
            InputError: an unregistered detector, one without ``config``, or a path that cannot be
                written.
        """
        config = getattr(self, "config", None)
        if config is None:
            raise InputError(f"{type(self).__qualname__}: keep its configuration as self.config")
        name = _registered_name(type(self))
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_run(Path(folder), name, self, config)

    def push_to_hub(self, name: str, license: str = "", private: bool = False) -> str:  # noqa: A002
        """Upload the detector with a card; return the address.

        Args:
            name: owner/name.
            license: of the weights, as the hub names it; empty: not stated.
            private: whether a new repository is private.

        Raises:
            InputError: see :meth:`save_pretrained`; no connection, or no permission.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return push_run(read_run(Path(folder)), name, license, private)


def _registered_name(detector: type[Trainable]) -> str:
    """Return the name under which a class is registered.

    Raises:
        InputError: it is not registered.
    """
    for entry in DETECTORS.entries():
        same = entry.target.rpartition(":")[2] == detector.__qualname__
        if same and DETECTORS.get(entry.name) is detector:
            return entry.name
    raise InputError(
        f"{detector.__qualname__}: not registered; put @register(NAME) above the class"
    )

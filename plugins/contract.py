"""What a detector is: a network that knows its own loss and says what it sees."""

from __future__ import annotations

from typing import Generic, TypeVar

from focus.detectors import Trainable

C = TypeVar("C")


class Detector(Trainable, Generic[C]):
    """A forgery detector; ``C`` is the frozen dataclass that configures it.

    A subclass has a constructor ``__init__(self, config: C = C())`` and the two methods ``loss``
    and ``predict``; everything else has a default. No device, optimiser, logging or file access
    inside: the loop moves, steps, logs and saves. Found through the entry-point group
    ``focus.detectors``, or registered in this process by ``@register("name")``.

    Shapes and ranges are those of :class:`~focus.detectors.Trainable` and
    :class:`~focus.types.Batch`.
    """

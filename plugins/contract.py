"""The contract of a detector: a network that computes its own loss and its predictions."""

from __future__ import annotations

from typing import Generic, TypeVar

from focus.detectors import DETECTORS
from focus.pretrained.mixin import Pretrained

C = TypeVar("C")
register = DETECTORS.register
get = DETECTORS.get
names = DETECTORS.names


class Detector(Pretrained, Generic[C]):
    """A forgery detector; ``C`` is the frozen dataclass that configures it.

    A subclass has a constructor ``__init__(self, config: C = C())`` and the two methods ``loss``
    and ``predict``; everything else has a default. It does not choose devices, build optimisers,
    log or access files: the loop does. Detectors are found through the entry-point group
    ``focus.detectors``, or registered in this process by ``@register("name")``.

    Shapes and ranges are those of :class:`~focus.detectors.Trainable` and
    :class:`~focus.types.Batch`.
    """

"""Image corruptions, by kind and level, to measure the robustness of detectors and maps.

``deeperforensics``: the corruptions of DeeperForensics-1.0 (Jiang et al., CVPR 2020), except video
compression. ``transmission``: video compression, JPEG and resizing. ``mixture``: random
combinations after OpenForensics, with effects from ``weather``. ``kinds``: the table of all
corruptions, and :class:`Perturbation`, which applies one to an image.
"""

from evaluator.perturbations.kinds import KINDS, SEVEN, Corruption, Perturbation
from evaluator.perturbations.transmission import compress_clip

__all__ = ["KINDS", "SEVEN", "Corruption", "Perturbation", "compress_clip"]

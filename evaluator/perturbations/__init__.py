"""Corruptions of pictures, by kind and level, to see what a detector and its maps withstand.

``deeperforensics`` holds the seven of DeeperForensics-1.0 (Jiang et al., CVPR 2020) but for video
compression, which stands in ``transmission`` with JPEG and resizing; ``mixture`` draws combinations
after OpenForensics, with ``weather`` among them. ``kinds`` is the table of all, and what is applied
to a picture: :class:`Perturbation`.
"""

from evaluator.perturbations.kinds import KINDS, SEVEN, Corruption, Perturbation
from evaluator.perturbations.transmission import compress_clip

__all__ = ["KINDS", "SEVEN", "Corruption", "Perturbation", "compress_clip"]

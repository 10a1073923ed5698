"""CADDM: a detector that looks for local artifacts, so that it does not learn identities.

S. Dong et al., "Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection
Generalization", CVPR 2023. Written from a description of the method; the authors publish their
code under Apache-2.0, and none of it is here. Its weights have other names and do not load.

The Artifact Detection Module (:mod:`~plugins.caddm.artifact_detection`) says of 168 anchors
(:mod:`~plugins.caddm.anchors`) whether they hold a forged area. Where such areas are comes from

* ``mode=map``: a manipulation map. Every fake is forged as a whole, and has a local box where the
  map is strongest (:mod:`~plugins.caddm.targets`). This needs no pairs.
* ``mode=mfs``: the paper's multi-scale facial swap between a fake and its aligned original
  (:mod:`~plugins.caddm.swapping`). Local boxes go by their structural dissimilarity, or by the map
  if there is one, both within the face.

A run without maps in ``mode=map`` trains the classifier alone.

Deviations, and why:

* Boxes are (left, top, right, bottom) throughout. In the published code local boxes reach the
  matching transposed, which anchors of both orientations hide.
* Windows are searched at every pixel instead of every 44th, which misses; equally good places are
  drawn from. In ``mode=map`` they have both orientations, as the anchors do.
* A sample with too little to place a window by is kept, with the global box alone, and not dropped.
* ``min_neg_per_image`` above 0 gives real faces to the anchors, too. The paper has no negatives on
  them, so that a zero map teaches the anchors nothing.
* ``mode=mfs``: a batch has no landmarks, so the hull is an ellipse where a usual crop has its
  face, bent by a smooth random field. Poisson blending is approximated: its membrane is
  interpolated from the rim by weights of distance to the power -3. A swap that changes hardly
  anything of the original, such as a real face put into a fake that differs nowhere else, is taken
  back: it would be a real face with the label of a fake.
* Faces are as the index has them, not aligned to a mean face, and augmented by the one loader
  (mirrored), not by the paper's distortions.
* Sizes other than 224: anchors scale with the picture and their grids follow the features'. Below
  193 the features are stretched to 7 x 7, and above 224 the last level is averaged to 1 x 1.
* The published parameter counts (289.7 M with EfficientNet-B4) include the backbone's ImageNet
  classifier, which nothing uses; it is there, and frozen.
* Maps of :meth:`Caddm.predict` are ours; the paper discards the anchors after training.
"""

from plugins.caddm.model import Caddm, CaddmConfig

__all__ = ["Caddm", "CaddmConfig"]

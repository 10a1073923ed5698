"""CADDM: a detector of local artifacts, designed not to learn identities.

S. Dong et al., "Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection
Generalization", CVPR 2023. Written from a description of the method; the authors publish their
code under Apache-2.0; none of it is used. Its weights have other names and cannot be loaded.

The Artifact Detection Module (:mod:`~plugins.caddm.artifact_detection`) classifies 168 anchors
(:mod:`~plugins.caddm.anchors`) as forged area or not. The locations of forged areas come from

* ``mode=map``: a manipulation map. Every fake gets a global box, and a local box where the
  map is strongest (:mod:`~plugins.caddm.targets`). This needs no pairs.
* ``mode=mfs``: the paper's multi-scale facial swap between a fake and its aligned original
  (:mod:`~plugins.caddm.swapping`). Local boxes follow their structural dissimilarity, or the map
  if given, both within the face.

A run without maps in ``mode=map`` trains the classifier alone.

Deviations, with reasons:

* Boxes are (left, top, right, bottom) throughout. In the published code local boxes are
  transposed before matching; anchors of both orientations hide this.
* Windows are searched at every pixel, not every 44th, which misses; ties are broken at
  random. In ``mode=map`` they have both orientations, like the anchors.
* A sample with too little evidence for a window is kept, with the global box alone, not dropped.
* ``min_neg_per_image`` above 0 trains the anchors on real faces, too. The paper has no negatives
  on them, so that a zero map does not train the anchors.
* ``mode=mfs``: a batch has no landmarks, so the hull is an ellipse at the usual position of the
  face in a crop, deformed by a smooth random field. Poisson blending is approximated: its membrane
  is interpolated from the rim by weights of distance to the power -3. A swap that leaves the
  original nearly unchanged, such as a real face put into a fake that differs nowhere else, is
  undone: it would be a real face labelled fake.
* Faces are as the index has them, not aligned to a mean face, and augmented by the common
  loader (mirrored), not by the paper's distortions.
* Sizes other than 224: anchors scale with the image and their grids follow the features'. Below
  193 the features are stretched to 7 x 7, and above 224 the last level is averaged to 1 x 1.
* The published parameter counts (289.7 M with EfficientNet-B4) include the backbone's ImageNet
  classifier; it is included, unused and frozen.
* Maps of :meth:`Caddm.predict` are ours; the paper discards the anchors after training.
"""

from plugins.caddm.model import Caddm, CaddmConfig

__all__ = ["Caddm", "CaddmConfig"]

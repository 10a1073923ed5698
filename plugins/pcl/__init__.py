"""PCL: pair-wise self-consistency learning.

Zhao et al., "Learning Self-Consistency for Deepfake Detection", ICCV 2021. Written from the paper's
description: its authors released no code, and the public re-implementations carry no licence.

A ResNet-34's third stage gives a 16 x 16 grid of features. The consistency branch predicts for
every two cells whether they come from the same source; the classifier predicts real or fake. Under
a map the consistency of two cells is 1 - |m_i - m_j|.

Deviations and choices:

- The fakes and maps are those of the index and the map file, not self-blended images: this is how
  FoCus compares maps with this detector.
- The classifier is a linear layer on the mean of the fourth stage, as in the paper. A public
  re-implementation trains a cross-entropy at each of its 8 x 8 cells and lets them vote: cells of
  untouched parts of a fake would be trained as "fake".
- One embedding serves both cells of a pair, so that the volume is symmetric; a public
  re-implementation has two.
- Soft maps are used unchanged. ``map_mode=hard`` thresholds them first, as the paper does with its
  structural dissimilarity.
- Cells are averaged over their area; public re-implementations sample points, and fill the volume's
  first column with the mask itself.
- The volume does not determine which of its two sides is forged. The predicted map is 1 - the mean
  consistency of a cell with the cells on the grid's border, times P(fake): forgeries of a face are
  inside its crop, and maps of real faces stay near 0. Using the majority as reference would halve
  the contrast as soon as a quarter of the crop is forged. Where the forgery fills the border, the
  map is inverted.
- The backbone starts from torchvision's ImageNet weights, through timm.
- 42,188 steps are the paper's 150 epochs of batches of 128 over FoCus's 36,000 training faces of
  FaceForensics++. After the warm-up the rate decays linearly to 0. The augmentation is that of the
  training command; the paper adds JPEG, blur, colour jitter and random erasing.
"""

from plugins.pcl.model import PCL, PCLConfig

__all__ = ["PCL", "PCLConfig"]

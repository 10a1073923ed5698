"""Face X-ray: the boundary along which a face was blended into its surroundings.

Li et al., "Face X-ray for More General Face Forgery Detection", CVPR 2020. No official code exists;
a public re-implementation is CC BY-NC 4.0. Written from a description of both; nothing is
copied. 67.3 M parameters, 29.2 GMACs at 256 pixels; 65.3 M and 21.2 of them are HRNet-W48's body.

The four levels of an HRNet are brought to a quarter of the size and joined; two convolutions and a
1 x 1 one predict the X-ray, and the class comes from the X-ray alone.

The target of a map m is B = 4 m (1 - m): 1 half-way between forged and untouched, 0 on real faces
and in empty and full maps. It is meaningful where maps end in a blend region: the masks of
``focus forge`` and of self-blends, and MSCCNet's annotation. Of maps such as FoCus's it is the
contour at half height. A map without such a region is first blurred, or B would be empty.

Deviations and choices:

- The fakes and maps are those of the index and the map file. The paper makes its own blends of real
  faces: ``--augment self-blend`` is the nearest training. Of such training, re-implementations
  report that the network learns the traces of these blends, and advise noise and blur:
  ``--augment self-blend photometric``.
- Class: the paper pools the X-ray and classifies it by one layer. Here its mean and its maximum
  are the two inputs of that layer (``head=pool``), which starts with fake where they add to 0.5.
  ``head=mlp`` is the re-implementation's: three layers on the X-ray pooled to 128 x 128, 16.9 M
  weights; of the hidden widths, 1,024 and 128, only the total is known.
- The head on the joined levels (256 and 128 channels, batch norms) is ours, close to public code.
- The weight 100 of the X-ray's cross-entropy, the rate of 2e-4, batches of 32 and 200,000 steps
  with a frozen backbone for the first quarter are the paper's, from memory. The
  re-implementation has a squared error of weight 1,000, and 10 epochs.
- Only a pretrained backbone is frozen; its batch norms still use and average the batches.
- A map is blurred by a Gaussian of a 64th of its side if at most four rows of its pixels lie
  between 0 and 1, so that an enlarged binary mask counts as binary. Beyond the crop it continues
  as it ends, so a region that is cut by the border has no boundary there.
- ``map=fill`` predicts the area that the X-ray above 0.5 encloses, to compare with masks.
"""

from plugins.facexray.model import FaceXray, FaceXrayConfig

__all__ = ["FaceXray", "FaceXrayConfig"]

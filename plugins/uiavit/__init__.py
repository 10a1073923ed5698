"""UIA-ViT: a ViT whose attention between patches learns forged patches, unsupervised.

W. Zhuang et al., "UIA-ViT: Unsupervised Inconsistency-Aware Method Based on Vision Transformer for
Face Forgery Detection", ECCV 2022. Written from a description of the method; no code of its authors
is used. 85.8 M parameters at the defaults (85,801,733).

Deviations, and choices where the description is incomplete:

* the LayerNorm of the middle block's patches has no weights: the patches only feed the
  Gaussians, which pass no gradient;
* the Gaussians are fitted to running sums (mean, covariance and the terms of Ledoit-Wolf
  shrinkage), not to stored features: the same numbers in constant memory. The sums are reset after
  each fit; a class without samples keeps its Gaussian, and L_corr and the penalties of its centres
  start once both are fitted;
* the class-token attention and the patch-to-patch attention are both the sigmoid of the mean over
  heads and blocks; L_corr keeps the diagonal of fakes, as c_in or c_out;
* a face is scored with the blend of uniform and attended patches that training has reached, not
  with attention alone, so that a short run is evaluated as it was trained;
* an epoch is an eighth of the run: in the paper's, 57,600 fakes (720 videos of four methods, 20
  frames each) and as many real faces in batches of 96 give 1,200 steps;
* the rate is constant: the paper's plateau schedule has a patience of 10 epochs, of 8 in all.
"""

from plugins.uiavit.model import UiaVit, UiaVitConfig

__all__ = ["UiaVit", "UiaVitConfig"]

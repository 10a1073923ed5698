"""UIA-ViT: a ViT whose attention between patches learns which of them are forged, unsupervised.

W. Zhuang et al., "UIA-ViT: Unsupervised Inconsistency-Aware Method Based on Vision Transformer for
Face Forgery Detection", ECCV 2022. Written from a description of the method; no code of its authors
is used. 85.8 M parameters at the defaults (85,801,733).

Deviations, and choices where the description is silent:

* the LayerNorm of the middle block's patches has no weights of its own: they only feed the
  Gaussians, from which no gradient returns;
* the Gaussians are fitted to running sums (mean, covariance and what Ledoit-Wolf's shrinkage
  needs), not to stored features: the same numbers in constant memory. The sums start anew after
  each fit; a class that was not seen keeps its Gaussian, and L_corr and the
  penalties of its centres wait until both are there;
* the class-token attention and the patch-to-patch attention are both the sigmoid of the mean over
  heads and blocks; L_corr keeps the diagonal of fakes, as c_in or c_out;
* a face is judged with the same blend of uniform and attended patches that training has reached,
  not with attention alone, so that a short run is judged as it was trained;
* an epoch is an eighth of the run: in the paper's, 57,600 fakes (720 videos of four methods, 20
  frames each) and as many real faces in batches of 96 give 1,200 steps;
* the rate is constant: the paper's plateau schedule, with a patience of 10 epochs, cannot act in 8.
"""

from plugins.uiavit.model import UiaVit, UiaVitConfig

__all__ = ["UiaVit", "UiaVitConfig"]

"""Multi-task: a Y-shaped autoencoder that classifies, locates and reconstructs.

Nguyen et al., "Multi-task Learning for Detecting and Segmenting Manipulated Facial Images and
Videos", BTAS 2019. Written from a description of the method and of the authors' code (BSD-3);
nothing is copied, and their weights are not read. Where the description of both differ, the code is
followed, since it made the published numbers. 0.30 M parameters (encoder 148,200, decoder 156,749),
0.32 GMACs at 256 pixels.

An encoder gives 128 channels at a sixteenth of the size; 64 of them answer for real, 64 for fake.
The activation of a half is its mean magnitude, and the score is the softmax of both activations.
One half is kept, the other set to zero: in training that of the true class, in prediction the more
active one. A shared decoder and two heads then give the map and the image.

Loss: the distances of the activations from the label, the cross-entropy of the map's pixels, and
the mean squared error of the image, all of weight 1 (``map_weight``, ``reconstruction_weight``).
The reconstruction needs no maps and stays in a run without them.

Deviations and choices:

- The map's head ends in logits. The code applies softmax in the network and again in its loss, so
  that a perfect map still costs 0.313.
- The image is reconstructed in [-1, 1], the range of the head's tanh. The code compares it with the
  image as standardised for ImageNet, from -2.1 to 2.6, which tanh cannot reach.
- Validation and test choose the half without labels. The code's validation chooses that of the true
  label, which improves its maps.
- The score is between 0.27 and 0.73 once the activations are 0 and 1, as trained; 0.5 is its
  threshold.
- The code numbers the classes by the order of folder names, so fake is 0 there; here it is 1.
- Any size that is a multiple of 16; the code is fixed to 256 x 256.
- Hard maps are the paper's; ``map_mode=soft`` uses [1 - m, m] as class probabilities.
- Adam's epsilon is the loop's 1e-8; the code has 1e-7.
- 56,250 steps are the code's 100 epochs over FoCus's 36,000 training faces of FaceForensics++, in
  its batches of 64, at a constant rate.
"""

from plugins.multitask.model import Multitask, MultitaskConfig

__all__ = ["Multitask", "MultitaskConfig"]

"""The FoCus network: two encoders, a region proposal on each, the token swap between them.

J. Tian et al., "Learning to Discover Forgery Cues for Face Forgery Detection", IEEE Transactions on
Information Forensics and Security 19, 2024. Written from the paper; no code of its authors is
public. Choices where the paper is ambiguous:

* positions: fixed 2-D sine-cosine, the same in both branches (the paper only says "fixed");
* CARP: one 3 x 3 convolution to 2K maps; per class map the mean over its K maps;
* Eq. 4: p(class) times the class's mean map (``car="class_mean"``), because only this makes
  Eq. 9 follow from "modifying the subscript"; classical CAM: ``car="channel_weighted"``;
* the swap's softmax comes from the logits (a softmax before Gumbel-softmax would squash them);
  temperature 1; evaluation takes the larger score without noise;
* lambda weighs the localisation loss (``weight_on="loc"``);
* labelled fakes get Eq. 9, the fake class's term, where the paper takes Eq. 4, both classes' terms
  (``equation=4``): one equation for every face, and the real class's term does not show a
  forgery. The two differ little where p(fake) is near 1;
* [0, 1]: each class map is min-max scaled first and multiplied by p afterwards, so that the map
  of a real face (p near 0) stays near 0. See :mod:`focus.network.maps`.
"""

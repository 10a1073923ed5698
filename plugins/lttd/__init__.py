"""LTTD: the local- and temporal-aware transformer-based deepfake detection.

Guan et al., "Delving into Sequential Patches for Deepfake Detection", NeurIPS 2022. Its authors
released no code, and the one public model file has no licence: the network is written from a
description of its tensors; nothing is copied.

A clip is cut into a grid of patch sequences, each 16 x 16 pixels over all frames. The local
sequence transformer (LST) processes every sequence separately: a 3-D stem gives one token per
frame, and low-level enhancement gates them before the first and after each of three stages. Only
then are sequences combined: cross-patch inconsistency (CPI) compares their embeddings, and
cross-patch aggregation (CPA) predicts the class of the clip.

Deviations and choices:

- The gate of every stage multiplies its frame tokens; the public file computes those of the three
  stages and discards them. The last gate affects CPI alone, as class tokens are never gated.
- The stem is the public file's: no normalisation or activation between the 7 x 7 x 7 convolution
  and the two residual blocks, unlike a ResNet's.
- CPA has no position embedding, as in the public file. ``position_embedding`` adds a learned one
  (75,264 parameters at 224 px).
- The grid follows the image size and the number of frames is a setting; the public file fixes 14
  and 16.
- Sequences are independent in evaluation mode. In training, the stem's batch norm computes its
  statistics over all sequences of a batch.
- A sequence's integrity r is the mean of its map over the patch and the frames, unchanged
  (``map_mode``: ``soft``). ``hard`` suits pixel differences: 1 where more than 5 % of the
  sequence reach 0.1. ``relative`` suits maps of unknown scale: 1 above half of the clip's maximum.
- The CPI loss tolerates deviations of 0.1. This, its weight of 0.1 and its form are choices: the
  paper's are not known. The cosine s is mapped to (1 + s) / 2: any r can be met exactly, and unlike
  a clamp at 0 it keeps the gradient of pairs that wrongly point apart.
- ``integrity_head`` puts a linear head on the embeddings and a binary cross-entropy against r in
  place of the CPI loss, as the FoCus paper describes LTTD's branch.
- The predicted map is the head's probability if there is a head, else as in PCL: 1 - the mean
  similarity to the sequences on the grid's border, times P(fake). One map per clip.
- AdamW with a cosine instead of a rate cut on plateaus of the loss: the loop's schedules are
  functions of the step, so that runs can be resumed. 1e-4, decay 0.05 and 32 clips are choices;
  22,500 steps are 20 passes over FoCus's 36,000 training faces of FaceForensics++, a clip around
  each. The augmentation is the training command's, the same for all frames.
- All weights start at random: no published ones fit the stem.
- The score is per clip; a video's score is the evaluator's mean over its clips.
- Activations are recomputed in the backward pass (``checkpointing``), without counting a batch
  twice in the running statistics.
"""

from plugins.lttd.model import Lttd, LttdConfig

__all__ = ["Lttd", "LttdConfig"]

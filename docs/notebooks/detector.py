# %% [markdown]
# # Your own detector under three kinds of maps
#
# A detector is a class with two methods. Here one is written in a cell and trained three times on
# the same faces under three kinds of maps: those of FoCus, which need labels only; structural dissimilarity
# from the original, which needs pairs; and exact masks, which only drawn forgeries have.
#
# The page runs in about a minute on one core. **With so few faces and steps the order of the three says
# nothing**; it shows the way to find out. [The page on detectors](../your-own-detector.md) has the details,
# and how to put the class into a package of your own.

# %% [markdown]
# ## The detector
#
# It classifies the face and predicts which patches were changed. `batch.maps` is the supervision, whatever
# kind of map was chosen; `None` without maps. `@register` names the class for this process.

# %%
from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from plugins import Detector, InputSpec, OptimizerConfig, Prediction, register


@dataclass(frozen=True)
class PatchConfig:
    """Settings of the detector; each is an `--options NAME=VALUE` of the commands."""

    image_size: int = 80
    """Side of the square input in pixels."""
    width: int = 24
    """Channels of the first layer."""


@register("patch")
class Patch(Detector[PatchConfig]):
    """A classifier that also predicts which patches of the face were changed."""

    optimizer = OptimizerConfig("adamw", lr=2e-3, weight_decay=0.05, warmup=0.1)
    steps, batch = 80, 24

    def __init__(self, config=PatchConfig()):
        super().__init__()
        self.config = config
        self.input_spec = InputSpec(config.image_size, mean=(0.5,) * 3, std=(0.5,) * 3)
        layers, before = [], 3
        for width in (config.width, 2 * config.width, 3 * config.width):
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.body = nn.Sequential(*layers)
        self.patches = nn.Conv2d(before, 1, 1)
        self.label = nn.Linear(before, 2)

    def forward(self, images):
        """Return logits (B, 2) and map logits (B, 1, h, w)."""
        features = self.body(images)
        return self.label(features.mean(dim=(2, 3))).float(), self.patches(features).float()

    def loss(self, batch):
        """Return the weighted terms of the loss."""
        logits, patches = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            target = F.adaptive_avg_pool2d(batch.maps, patches.shape[-2:])
            terms["map"] = F.binary_cross_entropy_with_logits(patches, target)
        return terms

    def predict(self, images):
        """Return P(fake) (B,) and maps (B, 1, h, w), all in [0, 1]."""
        logits, patches = self(images)
        return Prediction(logits.softmax(dim=1)[:, 1], patches.sigmoid())


# %% [markdown]
# ## Three kinds of maps of the same faces
#
# Commands in a terminal would do the same: `focus generate --method ssim ...`. Here they are called from
# Python, because this process knows the detector.

# %%
from evaluator.cli import main as evaluator
from focus.cli import main as focus
from focus.data.demo import DemoConfig, write_demo_corpus

people = 45
write_demo_corpus("faces", DemoConfig(people=people, images_per_person=2, size=80), quiet=True)
data = ["--data", "faces/index.csv", "--workers", "0", "--quiet"]

fit = "--image-size 80 --steps 100 --batch 24 --validate-every 50".split()
assert focus(["train", "demo", *data, *fit, "--out", "runs/focus"]) == 0
assert focus(["generate", *data, "--weights", "runs/focus", "--out", "focus.h5"]) == 0
assert focus(["generate", *data, "--method", "ssim", "--out", "ssim.h5"]) == 0
kinds = {"focus": "focus.h5", "ssim": "ssim.h5", "masks": "truth"}

# %%
import matplotlib.pyplot as plt

from focus import MapReader
from focus.data.images import read_face
from focus.data.index import FaceIndex

index = FaceIndex.read("faces/index.csv")
fakes = [face for face in index if face.label == 1 and face.split == "train"][:4]
figure, axes = plt.subplots(3, 4, figsize=(6, 4.6), layout="constrained")
for row, (name, path) in zip(axes[1:], list(kinds.items())[:2], strict=True):
    with MapReader(path) as maps:
        for axis, face in zip(row, fakes, strict=True):
            axis.imshow(maps[face.key], vmin=0, vmax=1, cmap="magma")
    row[0].set_ylabel(name)
for axis, face in zip(axes[0], fakes, strict=True):
    axis.imshow(read_face(index.root, face.path))
    axis.set_title(face.method)
for axis in axes.flat:
    axis.set_xticks([])
    axis.set_yticks([])

# %% [markdown]
# ## Three trainings, one judgement
#
# `evaluator run` selects weights on `val` and tests on faces of people whom the training has not seen. It
# refuses a test set that shares a face or a video with the training data.

# %%
for name, maps in kinds.items():
    run = ["run", "--model", "patch", "--maps", maps, *data, "--out", f"results/{name}"]
    assert evaluator([*run, "--steps", "80", "--validate-every", "40", "--draws", "300"]) == 0

# %%
results = [f"results/{name}" for name in kinds]
columns = ["frame_auc", "pixel_auc", "pixel_auc_region"]
assert evaluator(["table", *results, "--columns", *columns]) == 0

# %% [markdown]
# ## The maps that it learned
#
# A trained detector opens like any model of the project.

# %%
from focus import load

faces = [face for face in index if face.label == 1 and face.split == "test"][:4]
images = [read_face(index.root, face.path) for face in faces]
figure, axes = plt.subplots(4, 4, figsize=(6, 6), layout="constrained")
rows = {"face": images}
for name in kinds:
    model = load(f"results/{name}/seed-0", crop="frame")
    rows[name] = [result.faces[0].map for result in model(images)]
for row, (name, pictures) in zip(axes, rows.items(), strict=True):
    row[0].set_ylabel(name)
    for axis, picture in zip(row, pictures, strict=True):
        axis.imshow(picture, vmin=0, vmax=1, cmap="magma")
        axis.set_xticks([])
        axis.set_yticks([])

# %% [markdown]
# ## Next
#
# * `evaluator check patch` holds the class to the contract: shapes, ranges, gradients, saving, two processes.
# * `--seeds 3` trains each three times; the table then has the spread beside the interval.
# * `plugins.targets` has the usual kinds of supervision; `plugins.create_backbone` builds any timm model.

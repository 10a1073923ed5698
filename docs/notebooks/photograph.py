# %% [markdown]
# # A photograph to a map
#
# From an image file to its faces, a verdict for each, and a map of where the evidence is. It takes a
# few seconds, on any computer, without a download.
#
# The photograph of this page is drawn, because no image of a real person is part of the project.
# Replace `"photo.png"` by a file of yours. To run this page: `pip install . jupyter` in a copy of the
# repository.

# %% [markdown]
# ## The photograph
#
# Two drawn people. A part of the right face is blended in from another face; `truth` is where.

# %%
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from focus.data.demo import draw_face, forge

rng = np.random.default_rng(2)
left, right = draw_face(rng, 320), draw_face(rng, 320)
forgery = forge(right, "blend", rng)
photo = np.hstack([left.image, forgery.image])
truth = np.hstack([np.zeros_like(forgery.mask), forgery.mask])
Image.fromarray(photo).save("photo.png")

# %% [markdown]
# ## Faces, scores and verdicts
#
# `focus.load()` opens the built-in model; `focus.load("runs/mine")` opens one of yours. A model
# takes a path, a PIL image, an array, or a list of these.

# %%
import focus

model = focus.load()
result = model("photo.png")
result.verdict

# %%
for face in result.faces:
    print(
        f"{face.verdict}: P(fake) {face.score:.2f}, box {face.box}, {face.reason or 'no obstacle'}"
    )

# %% [markdown]
# A verdict is *no sign of manipulation*, *cannot say* or *signs of manipulation*. *Cannot say* comes with a
# reason: the face is too small, turned, blurred, unlike the training images, or the score is between the
# thresholds. The model has seen photographs only. **What it says about drawn faces is therefore no evidence
# of how well it works on photographs**: see [the model's card](../models.md).

# %% [markdown]
# ## The map
#
# The map has the network's own grid, with values in [0, 1]; 1 means manipulated. `map_at` resizes it.

# %%
face = result.faces[0]
face.map.shape, face.map_at((224, 224)).shape, round(float(face.map.max()), 2)

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 2.2), layout="constrained")
images = {"photograph": photo, "truth (drawn here)": truth, "map of FoCus": result.map}
for axis, (title, image) in zip(axes, images.items(), strict=True):
    axis.imshow(image, vmin=0, vmax=1, cmap="magma")
    axis.set_title(title)
    axis.axis("off")

# %% [markdown]
# `result.overlay()` is the photograph with its maps, as a PIL image to show or save.

# %%
result.overlay().save("overlay.png")
result.overlay().size

# %% [markdown]
# ## The same from the command line
#
# `focus look` also takes folders and video clips, and writes a page that opens in any browser.

# %% [shell]
# focus look photo.png --out looked --quiet

# %%
from pathlib import Path

sorted(path.name for path in Path("looked").iterdir())

# %% [markdown]
# ## Many images: one file of maps
#
# `focus generate` writes the maps of a collection of faces to one HDF5 file, which trains detectors
# ([your own detector under three kinds of maps](detector.ipynb)) and is read like a dictionary. An image
# that one face nearly fills, as here, is taken as a crop; `--crop faces` cuts out every face.

# %% [shell]
# focus generate --data photo.png --weights focus-small --out photo.h5 --workers 0 --quiet

# %%
maps = focus.MapReader("photo.h5")
{key: maps[key].shape for key in maps}

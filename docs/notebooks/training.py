# %% [markdown]
# # Train on your faces and judge
#
# From a folder of faces with labels to a trained network, its maps, and figures with intervals that say
# what the maps are worth. Only labels are needed to train; masks are used at the end, to judge.
#
# Everything here is small so that the page runs in a minute and a half on one processor core: drawn faces of
# 80 pixels and a network without pretraining. **The figures show how the tools work, not how good the
# method is**; those are in [the results](../results.md).

# %% [markdown]
# ## Faces with labels
#
# An index is a CSV with the columns `path,label,split`; label 1 is fake. `focus index --data FOLDER --split
# 0.7 0.15 0.15` writes one for a folder of yours. Here a small corpus is drawn, with its index.

# %%
from focus.data.demo import DemoConfig, write_demo_corpus

people = 60
index = write_demo_corpus(
    "faces", DemoConfig(people=people, images_per_person=2, size=80), quiet=True
)
for face in list(index)[:2]:
    print(face.path, face.label, face.split, face.method)

# %% [markdown]
# Before any training, the doctor looks for broken files, leaks between splits, and shortcuts by which a
# network could tell the label without looking at the face.

# %% [shell]
# focus doctor faces/index.csv --workers 0 --quiet --json doctor.json

# %%
import json
from pathlib import Path

json.loads(Path("doctor.json").read_text())["verdict"]

# %% [markdown]
# ## Training
#
# `demo` is the smallest recipe; `small` and `paper` are for photographs. Weights are selected by the AUC on
# split `val`. A killed training continues with `--resume`.

# %% [shell]
# focus train demo --data faces/index.csv --image-size 80 --steps 160 --batch 24 --validate-every 40 \
#     --workers 0 --quiet --out runs/first

# %%
import csv

with open("runs/first/journal.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
for row in rows:
    print(f"step {row['step']:>3}: AUC on val {float(row['val/auc']):.3f}")

# %% [markdown]
# ## Maps of the test faces
#
# Maps made as supervision are zero on real faces. To judge them, keep the network's own maps of real faces
# too: `--real-maps fake-class`.

# %% [shell]
# focus generate --data faces/index.csv --split test --weights runs/first --real-maps fake-class \
#     --workers 0 --quiet --out focus.h5

# %% [shell]
# focus view focus.h5 --data faces/index.csv --png sheet.png --quiet

# %%
from PIL import Image

sheet = Image.open("sheet.png").convert("RGB")
sheet.crop((0, 0, sheet.width, min(sheet.height, 540)))

# %% [markdown]
# ## Judgement
#
# The drawn corpus has exact masks, so the maps can be scored. Each value has a 95 % interval over people.
# The *place prior* is the score of the average mask of the other faces, which knows nothing but the usual
# place: a map is worth something where it is above it. [What each metric means](../metrics.md).

# %% [shell]
# evaluator score focus.h5 --data faces/index.csv --split test --draws 300 --json focus.json --quiet

# %%
metrics = json.loads(Path("focus.json").read_text())["metrics"]
for name in (
    "frame_auc",
    "pixel_auc",
    "prior_pixel_auc",
    "pixel_auc_region",
    "prior_pixel_auc_region",
):
    value, low, high = (metrics[name][key] for key in ("value", "low", "high"))
    print(f"{name:24} {value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else ""))

# %% [markdown]
# ## Next
#
# * `focus look photo.jpg --weights runs/first` examines photographs with the trained network.
# * `evaluator table a.json b.json` compares several results; `evaluator robustness` corrupts the images.
# * [Your own detector under three kinds of maps](detector.ipynb) uses maps as supervision.

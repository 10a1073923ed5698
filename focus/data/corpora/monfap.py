"""MoNFAP's own images (``monfap``): frames of FFIW10K, and OpenForensics with real images.

::

    Pixel_FFIW10K/{train,valid,test}.txt         lines "<path> <0|1>", 1 = fake
    Pixel_FFIW10K/{Image,Mask}/...               images; masks, same path, .png
    Pixel_OpenForensics/...                      the same

Root contains one or both of the folders, or is one of them. Paths, masks and videos are as in
``lists``; ``valid`` is val. Lists with other names, such as those of perturbed images
(``test_augv1.txt``), are not read. ``method`` of a fake is FFIW10K or OpenForensics, or empty if
the root is one of the folders. Manual-Fake is a separate corpus, ``manualfake``, and
Pixel_OpenForensics alone can also be read as ``ofv2``.

Published (real and fake, train / val / test): FFIW10K 84,612 / 4,308 / 33,252, OpenForensics
79,462 / 13,984 / 35,104, of which 44,122 / 7,308 / 18,895 fake. The doctor checks only the latter
counts, whichever folders exist.
"""

from __future__ import annotations

from pathlib import Path

from focus.data.corpora.lists import find_lists, read_images
from focus.data.corpora.reading import build_index
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import FaceIndex
from focus.errors import InputError

PARTS = ("FFIW10K", "OpenForensics")


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of ``train.txt``, ``valid.txt`` and ``test.txt``, if present.

    Raises:
        InputError: none of the lists, an invalid line, or an unsupported option.
    """
    lists = find_lists(root, "")
    for part in PARTS:
        lists += find_lists(root, f"Pixel_{part}", part)
    if not lists:
        folders = " or ".join(f"Pixel_{part}/" for part in PARTS)
        raise InputError(
            f"{root}: not MoNFAP: no train.txt, valid.txt or test.txt in it, in {folders}"
        )
    return build_index(read_images(root, lists), root, options)


CORPUS = Corpus(
    name="monfap",
    title="MoNFAP's FFIW and OFV2",
    source="Miao et al., Mixture-of-Noises Enhanced Forgery-Aware Predictor for Multi-Face "
    "Manipulation Detection and Localization",
    scan=scan,
    published={
        "train fake OpenForensics": 44122,
        "val fake OpenForensics": 7308,
        "test fake OpenForensics": 18895,
    },
)

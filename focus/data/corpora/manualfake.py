"""Manual-Fake (``manualfake``), as MoNFAP lists it: frames sent through social networks.

::

    test_<channel>.txt          lines "<path> <0|1>", 1 = fake
    Image/...                   images
    Mask/...                    masks, same path, .png

Channels: untrans (not transmitted), facebook, tiktok, wechat, whatsapp, youtube. Root is
``Pixel_ManualFake`` or the folder that contains it. Paths and masks are as in all lists of MoNFAP,
see ``lists``. Test only: for evaluation across networks after training on other data.

``method`` of a fake is its channel; column ``channel`` gives it for real images too. Choosing
channels leaves out the real images of the others. Each channel has its own copy of a video, and
each copy counts as a video.

Published: 19,794 images over the six channels. Layout and download of the original release, 1000
real and 1000 fake videos, are unverified; only MoNFAP's format is read.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from focus.data.corpora.lists import ImageList, read_images
from focus.data.corpora.reading import build_index, list_names
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import FaceIndex
from focus.errors import InputError

CHANNELS = ("untrans", "facebook", "tiktok", "wechat", "whatsapp", "youtube")


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of every ``test_<channel>.txt``.

    Raises:
        InputError: no such list, one of an unknown channel, an invalid line, or an unsupported
            option.
    """
    lists = _find_lists(root, "") or _find_lists(root, "Pixel_ManualFake")
    if not lists:
        names = ", ".join(f"test_{channel}.txt" for channel in CHANNELS)
        raise InputError(f"{root}: not Manual-Fake (MoNFAP): none of {names}")
    wanted = {method.casefold() for method in options.methods}
    # If none of them exists, build_index reports those that do.
    chosen = [entry for entry in lists if entry.method in wanted] or lists
    return build_index(read_images(root, chosen), root, options)


def _find_lists(root: Path, folder: str) -> list[ImageList]:
    lists = []
    for name in list_names(root / folder, (".txt",)):
        if not name.startswith("test_"):
            continue
        channel = name[len("test_") : -len(".txt")]
        if channel not in CHANNELS:
            known = ", ".join(CHANNELS)
            raise InputError(f"{root / folder / name}: unknown channel (known: {known})")
        path = posixpath.join(folder, name)
        lists.append(ImageList(path, "test", channel, {"channel": channel}))
    return lists


CORPUS = Corpus(
    name="manualfake",
    title="Manual-Fake",
    source="as listed by MoNFAP (Miao et al.), test sets of six channels",
    scan=scan,
    published={"": 19794},
)

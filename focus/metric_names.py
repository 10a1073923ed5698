"""Plain names and meanings of all metrics: the one table behind pages, tables and the glossary.

``docs/metrics.md`` has the formula, the code and the source of each; a test holds both together.
"""

from __future__ import annotations

from typing import NamedTuple

PRIOR_PREFIX = "prior_"


class Metric(NamedTuple):
    """How a metric is presented."""

    name: str
    """Plain name, the head of a column."""
    meaning: str
    """One sentence, without a full stop."""
    lower_is_better: bool = False

    @property
    def tooltip(self) -> str:
        """The meaning, range and direction, as shown beside the name."""
        direction = "lower" if self.lower_is_better else "higher"
        return f"{self.meaning}; 0 to 1, {direction} is better"


METRIC_NAMES = {
    "frame_auc": Metric(
        "Frame AUC", "share of (fake, real) pairs of faces that the scores order correctly"
    ),
    "frame_acc": Metric("Frame accuracy", "share of faces whose score is on the right side of 0.5"),
    "frame_eer": Metric(
        "Frame EER",
        "equal error rate: the error rate where misses and false alarms are equally frequent",
        lower_is_better=True,
    ),
    "frame_ap": Metric(
        "Frame average precision", "precision for fakes, averaged over every recall"
    ),
    "video_auc": Metric("Video AUC", "frame AUC computed on the mean scores of videos"),
    "video_acc": Metric(
        "Video accuracy", "share of videos whose mean score is on the right side of 0.5"
    ),
    "pixel_f1_macro": Metric(
        "Pixel F1, both classes", "mean F1 of forged and untouched pixels, pooled over all faces"
    ),
    "pixel_miou": Metric(
        "Pixel mean IoU", "mean IoU of forged and untouched pixels, pooled over all faces"
    ),
    "f1_fake": Metric("Pixel F1, fakes", "F1 of forged pixels, pooled over all fakes"),
    "iou_fake": Metric(
        "IoU, fakes", "overlap of marked and forged pixels over their union, pooled over all fakes"
    ),
    "iou_frame": Metric("IoU per fake", "the same overlap for each fake, then the mean over fakes"),
    "pxap": Metric(
        "Pixel average precision", "average precision over the pixels of all fakes together"
    ),
    "pixel_auc": Metric(
        "Pixel AUC",
        "share of (forged, untouched) pixel pairs that the map orders correctly, mean over fakes",
    ),
    "pointing": Metric("Pointing", "share of fakes whose map is highest inside the mask"),
    "energy_inside": Metric(
        "Energy inside", "share of the map's sum that is inside the mask, mean over fakes"
    ),
    "fp_area_real": Metric(
        "False area on real faces",
        "share of a real face that is marked as manipulated, mean over real faces",
        lower_is_better=True,
    ),
    "pixel_auc_region": Metric(
        "Pixel AUC inside the region", "pixel AUC over the pixels of the region (the face) alone"
    ),
    "part_auc": Metric(
        "Part AUC",
        "share of (changed, unchanged) pairs of face parts that the map orders correctly, "
        "mean over fakes",
    ),
    "part_pointing": Metric(
        "Part pointing", "share of fakes whose map is highest on a face part that was changed"
    ),
    "map_iou": Metric(
        "Map IoU with the clean map",
        "IoU of the areas above 0.5 of the corrupted and the clean map, mean over fakes",
    ),
    "map_overlap": Metric(
        "Map overlap with the clean map",
        "sum of minima over sum of maxima of the corrupted and the clean map, mean over fakes",
    ),
}
"""By the names of the contract; those with ``prior_`` are found by :func:`describe_metric`."""


def describe_metric(metric: str) -> Metric:
    """Return how a metric is presented; an unknown one keeps its name and has no meaning."""
    known = METRIC_NAMES.get(metric.removeprefix(PRIOR_PREFIX))
    if known is None:
        return Metric(metric, "not in the glossary")
    if not metric.startswith(PRIOR_PREFIX):
        return known
    return known._replace(
        name=f"Place prior: {known.name}",
        meaning=f"the mean mask of other faces used as the map: {known.meaning}",
    )

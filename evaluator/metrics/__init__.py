"""The metric set: each name includes its aggregation, each value has an interval.

``ranking``: curves (AUC, average precision, equal error rate) as functions of counts per level.
``image``: metrics of scores. ``counting``: pixel counts of maps. ``localization``: metrics from
these counts. ``prior``: the mean mask of other faces, used as a map. ``intervals``: bootstrap
intervals over videos.
"""

DETECTION = ("frame_auc", "frame_acc", "frame_eer", "frame_ap", "video_auc", "video_acc")
THRESHOLDED = ("pixel_f1_macro", "pixel_miou", "f1_fake", "iou_fake", "iou_frame", "fp_area_real")
PRIOR = ("prior_pixel_auc", "prior_pxap", "prior_pixel_auc_region")
METRICS = (
    *DETECTION,
    "pixel_f1_macro",
    "pixel_miou",
    "f1_fake",
    "iou_fake",
    "iou_frame",
    "pxap",
    "pixel_auc",
    "pointing",
    "energy_inside",
    "fp_area_real",
    "pixel_auc_region",
    *PRIOR,
)
HEADLINE = (
    "frame_auc",
    "video_auc",
    "frame_acc",
    "frame_eer",
    "pixel_auc",
    "pixel_auc_region",
    "pxap",
    "iou_fake",
)
"""The metrics that are asked for most: tiles of a report, columns of a table."""

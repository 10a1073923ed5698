"""The one metric set: every name says its aggregation, every value carries an interval.

``ranking`` holds the curves (AUC, average precision, equal error rate) as functions of counts per
level; ``image`` judges scores, ``counting`` counts the pixels of maps and ``localization`` judges
these counts, ``prior`` is the map of one who knows only the usual place, and ``intervals`` draws
the videos.
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

"""The SDK for detector authors, and the built-in detectors.

One sub-package per detector, with the detector's name. ``plugins.targets`` turns maps into training
targets; ``plugins.conformance`` contains the checks of ``evaluator check NAME``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from focus.backbones import create_backbone, read_tensors
    from focus.config import check_choices, check_options
    from focus.data.landmarks import FaceShape
    from focus.detectors import Summary
    from focus.errors import InputError, first_line
    from focus.generators.comparison import dissimilarity
    from focus.grids import GridConfig, Reading, create_grid
    from focus.modalities import SRM_CLAMP, srm, srm_kernels
    from focus.normalisation import minmax
    from focus.optim import OptimizerConfig
    from focus.types import FAKE, REAL, Batch, InputSpec, Prediction, resize_maps
    from plugins.contract import Detector, get, names, register

__all__ = [
    "FAKE",
    "REAL",
    "SRM_CLAMP",
    "Batch",
    "Detector",
    "FaceShape",
    "GridConfig",
    "InputError",
    "InputSpec",
    "OptimizerConfig",
    "Prediction",
    "Reading",
    "Summary",
    "check_choices",
    "check_options",
    "create_backbone",
    "create_grid",
    "dissimilarity",
    "first_line",
    "get",
    "minmax",
    "names",
    "read_tensors",
    "register",
    "resize_maps",
    "srm",
    "srm_kernels",
]
# Listing detectors must not import torch.
__getattr__ = lazy(
    __name__,
    {
        "focus.backbones": ("create_backbone", "read_tensors"),
        "focus.config": ("check_choices", "check_options"),
        "focus.data.landmarks": ("FaceShape",),
        "focus.detectors": ("Summary",),
        "focus.errors": ("InputError", "first_line"),
        "focus.generators.comparison": ("dissimilarity",),
        "focus.grids": ("GridConfig", "Reading", "create_grid"),
        "focus.modalities": ("SRM_CLAMP", "srm", "srm_kernels"),
        "focus.normalisation": ("minmax",),
        "focus.optim": ("OptimizerConfig",),
        "focus.types": ("FAKE", "REAL", "Batch", "InputSpec", "Prediction", "resize_maps"),
        "plugins.contract": ("Detector", "get", "names", "register"),
    },
)

"""The folder of weights and photographs that some tests need; they are skipped without it."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("FOCUS_SHARED", Path(__file__).parents[2] / "shared"))

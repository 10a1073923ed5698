"""``python -m focus``, for ``accelerate launch -m focus``."""

import sys

from focus.cli import main

sys.exit(main())

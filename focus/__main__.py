"""``python -m focus``, for ``accelerate launch -m focus``."""

import sys

from focus.cli import main

if __name__ == "__main__":
    sys.exit(main())

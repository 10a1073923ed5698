"""``python -m focus.data.demo FOLDER``: draw the demo corpus with two processes."""

import sys

from focus.data.demo import write_demo_corpus
from focus.errors import count_of

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m focus.data.demo FOLDER")
    index = write_demo_corpus(sys.argv[1], workers=2)
    print(f"{sys.argv[1]}: {count_of(len(index), 'drawn face')}")

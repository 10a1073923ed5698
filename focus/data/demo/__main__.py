"""``python -m focus.data.demo FOLDER``: draw the demo corpus with two processes."""

import argparse

from focus.data.demo import write_demo_corpus
from focus.errors import count_of

if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m focus.data.demo", description="Draw a demo corpus.")
    parser.add_argument("folder", metavar="FOLDER")
    folder = parser.parse_args().folder
    index = write_demo_corpus(folder, workers=2)
    print(f"{folder}: {count_of(len(index), 'drawn face')}")

"""Settings and fixtures of all tests: no network access, and a small synthetic corpus."""

import os
from pathlib import Path

# Read by huggingface_hub at import: no test waits for a network that must not be used.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from focus.data.demo import DemoConfig, write_demo_corpus


def pytest_addoption(parser):
    parser.addoption("--all-families", action="store_true", help="try a model of every timm family")


def pytest_collection_modifyitems(items):
    """Put modules that start processes and train every detector first: they take longest."""
    folder = Path(__file__).parent
    items.sort(key=lambda item: item.path.parent not in (folder, folder / "plugins"))


@pytest.fixture(scope="session")
def demo_corpus(tmp_path_factory):
    """Return the index.csv of forty drawn faces with masks, in all splits."""
    folder = tmp_path_factory.mktemp("corpus")
    write_demo_corpus(folder, DemoConfig(people=10, images_per_person=2, size=64), quiet=True)
    return folder / "index.csv"

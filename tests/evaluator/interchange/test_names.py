"""Names of exported files."""

from __future__ import annotations

import pytest

from evaluator.interchange.names import flat_names, kept_paths
from focus.errors import InputError


def test_names_that_differ_only_in_case():
    names = flat_names(["x/A.png", "y/a.png", "z/b.png", "x/-c?.png"])
    assert names["z/b.png"] == "b"
    assert len({name.casefold() for name in names.values()}) == 4
    assert flat_names(["z/" + "é" * 300])["z/" + "é" * 300].encode()[200:] == b""
    with pytest.raises(InputError, match="would be the same file"):
        kept_paths(["x/A.png", "x/a.png"], "rename one")

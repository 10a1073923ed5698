from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from focus.cli import main as focus
from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.generation import GenerationConfig, RenormaliseCommand, generate, renormalise_command
from focus.generators.focus import FocusGenerator, FocusMaximum
from focus.mapstore import MapReader
from focus.network.maps import finish
from focus.network.model import FoCus, FoCusConfig, fuse_parts
from focus.runs import write_run
from focus.runtime import seed_everything

CONFIG = FoCusConfig(
    encoder="resnet10t", encoder_weights="none", image_size=64, stage=2, output_stride=8
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    seed_everything(0)
    network = FoCus(CONFIG)
    network.map_scale.fill_(0.25)
    write_run(folder, "focus", network, CONFIG)
    return folder


@pytest.fixture
def maps(run, demo_corpus, tmp_path):
    """A map file with parts, and one generated directly, for each normalisation."""
    index = FaceIndex.read(demo_corpus)

    def make(mode, parts=False, kind=FocusGenerator, real="fake-class"):
        out = tmp_path / f"{kind.__name__}-{mode}-{parts}-{real}.h5"
        generator = kind.load(run, {"normalise": mode})
        config = GenerationConfig(workers=0, parts=parts, real_maps=real)
        generate(
            index, generator, out, config, name="focus" if kind is FocusGenerator else "focus-max"
        )
        return out

    return make


def levels(path):
    with MapReader(path) as reader:
        return reader.read(slice(None)) * 255


@pytest.mark.parametrize("kind", [FocusGenerator, FocusMaximum])
@pytest.mark.parametrize("mode", ["class_minmax", "fused_minmax", "global", "image_minmax"])
def test_renormalising_equals_generating_again(maps, tmp_path, mode, kind, capsys):
    source = maps("class_minmax", parts=True, kind=kind)
    out = tmp_path / "renormalised.h5"
    renormalise_command(RenormaliseCommand(source, mode, out))
    # The same numbers, except for rounding of parts stored as float16.
    assert np.abs(levels(out) - levels(maps(mode, kind=kind))).max() <= 1
    with MapReader(out) as reader:
        assert reader.attributes["normalisation"] == mode
        assert json.loads(reader.attributes["config"])["map_scale"] == pytest.approx(0.25)
        assert reader.part_names


def test_real_faces_stay_zero_where_they_were(maps, tmp_path):
    source = maps("class_minmax", parts=True, real="zero")
    out = tmp_path / "renormalised.h5"
    renormalise_command(RenormaliseCommand(source, "image_minmax", out))
    with MapReader(out) as reader:
        assert not reader.read((reader.labels == 0).nonzero()[0]).any()
        fakes = reader.read((reader.labels == 1).nonzero()[0])
        assert (fakes.max(axis=(1, 2)) == 1).all()


def test_the_maximum_is_never_below_the_chosen_modality(maps):
    chosen, largest = levels(maps("class_minmax")), levels(maps("class_minmax", kind=FocusMaximum))
    assert (largest >= chosen - 0.02).all()
    assert (largest > chosen + 1).any()


def test_errors_are_one_line(maps, tmp_path, capsys):
    plain = str(maps("class_minmax"))
    words = ["renormalise", plain, "--normalise", "global", "--out", str(tmp_path / "x.h5")]
    assert focus(words) == 2
    assert "focus generate --parts" in capsys.readouterr().err
    kept = str(maps("class_minmax", parts=True))
    assert focus(["renormalise", kept, "--normalise", "global", "--out", kept]) == 2
    assert "is the input file" in capsys.readouterr().err
    assert focus(["renormalise", kept, "--normalise", "best", "--out", "x.h5"]) == 2
    assert "class_minmax, fused_minmax, global, image_minmax" in capsys.readouterr().err


def test_a_constant_may_be_given(maps, tmp_path):
    source = maps("class_minmax", parts=True)
    out = tmp_path / "renormalised.h5"
    command = RenormaliseCommand(source, "global", out, map_scale=0.5)
    renormalise_command(command)
    half = levels(out)
    renormalise_command(replace(command, map_scale=1.0, overwrite=True))
    small = half < 255  # not clipped
    np.testing.assert_allclose(levels(out)[small] * 2, half[small], atol=0.02)


@pytest.mark.parametrize("mode", ["class_minmax", "global"])
def test_equation_4_applies_only_to_labelled_fakes(run, demo_corpus, tmp_path, mode):
    index = FaceIndex.read(demo_corpus)
    index.labels[:4] = -1
    found, predictions = {}, {}
    for equation in (4, 9):
        options = {"normalise": mode, "equation": str(equation)}
        generator = FocusGenerator.load(run, options)
        for real in ("zero", "fake-class"):
            out = tmp_path / f"{equation}-{real}.h5"
            config = GenerationConfig(workers=0, parts=True, real_maps=real)
            generate(index, generator, out, config, name="focus")
            found[equation, real] = levels(out)
            with MapReader(out) as reader:
                assert json.loads(reader.attributes["config"])["equation"] == equation
                names, labels = reader.part_names, reader.labels
                predictions = {n: torch.from_numpy(reader.read_part(n, slice(None))) for n in names}
    fakes = labels == 1
    both = fuse_parts(predictions, mode, "gumbel", fake_only=False)
    expected = finish(both, torch.ones(len(both)), mode, 0.25).numpy() * 255
    assert np.abs(found[4, "zero"][fakes] - expected[fakes]).max() <= 1
    assert np.abs(found[4, "zero"][fakes] - found[9, "zero"][fakes]).max() > 10
    # Without a label, or if real faces keep their maps, labels change nothing.
    assert np.array_equal(found[4, "zero"][~fakes], found[9, "zero"][~fakes])
    assert np.array_equal(found[4, "fake-class"], found[9, "fake-class"])
    out = tmp_path / "again.h5"
    command = RenormaliseCommand(tmp_path / "9-zero.h5", mode, out, ("equation=4",))
    renormalise_command(command)
    assert np.abs(levels(out) - found[4, "zero"]).max() <= 1


def test_another_equation_is_refused(run):
    with pytest.raises(InputError, match="--options equation=5"):
        FocusGenerator.load(run, {"equation": "5"})

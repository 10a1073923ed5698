from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from evaluator.metrics.counting import count_levels
from evaluator.scoring.measure import TruthReader, masked_fakes, mean_mask, measure, measure_each
from focus.data.index import Face, FaceIndex
from focus.mapstore import MapReader, MapWriter

SIZES = ((24, 24), (17, 30), (24, 24), (40, 8))


def write(path, image):
    cv2.imwrite(str(path), np.asarray(image).astype(np.uint8) * 255)


@pytest.fixture
def faces(tmp_path):
    """Return an index of 18 faces of three sizes, every third real, and two map files of them."""
    generator, faces = np.random.default_rng(0), []
    for row in range(18):
        size, real = SIZES[row % 4], row % 3 == 0
        write(tmp_path / f"{row}.png", generator.random((*size, 3)) < 0.5)
        write(tmp_path / f"mask-{row}.png", generator.random(size) < 0.4)
        write(tmp_path / f"region-{row}.png", generator.random(size) < 0.7)
        more = {} if real else {"mask": f"mask-{row}.png", "method": "a"}
        if not real and row % 5:
            more["region"] = f"{'mask' if row % 2 else 'region'}-{row}.png"
        faces.append(Face(f"{row}.png", int(not real), video=f"{row // 2}", **more))
    index = FaceIndex.of(faces, tmp_path)
    for name, grid in (("small", (5, 7)), ("large", (24, 24))):
        maps = generator.random((18, *grid)).astype(np.float32)
        with MapWriter(tmp_path / f"{name}.h5", generator="toy") as writer:
            order = generator.permutation(18)  # index and file have different row orders
            keys = [index.keys[row] for row in order]
            writer.append(keys, maps, index.labels[order], np.full(18, 0.5))
    return index, [MapReader(tmp_path / f"{name}.h5") for name in ("small", "large")]


@pytest.mark.parametrize("block", [4, 128])
def test_batches_of_any_size_equal_single_faces(faces, monkeypatch, block):
    monkeypatch.setattr("evaluator.scoring.measure._BLOCK", block)
    index, readers = faces
    rows = np.arange(18)
    prior, _ = mean_mask(index, masked_fakes(index, rows), quiet=True)
    found = measure_each(index, rows, readers, prior, quiet=True)
    truths = TruthReader(index)
    for reader, measured in zip(readers, found, strict=True):
        assert measured.rows.tolist() == rows.tolist()
        assert measured.has_prior.tolist() == (index.labels == 1).tolist()
        for row in rows:
            truth = [
                None if part is None else torch.from_numpy(part[None]) for part in truths.read(row)
            ]
            single = count_levels(torch.from_numpy(reader[index.keys[row]])[None], *truth)
            for ours, theirs in zip(measured.maps, single, strict=True):
                np.testing.assert_allclose(ours[row], theirs[0], rtol=1e-12)
            if measured.has_prior[row]:
                usual, _ = prior.without([index.column("video")[row]])
                single = count_levels(torch.from_numpy(usual), *truth)
                for ours, theirs in zip(measured.priors, single, strict=True):
                    np.testing.assert_allclose(ours[row], theirs[0], rtol=1e-12)
            assert measured.maps.inside[row].sum() == truths.read(row)[0].sum()
    assert not np.isnan(found[0].maps.region_auc).all()


def test_unreadable_truth_is_skipped_and_reported(faces):
    index, (reader, _) = faces
    (index.root / "mask-4.png").write_bytes(b"nothing")
    (index.root / "0.png").unlink()
    rows = np.arange(2, 18)
    measured = measure(index, rows, reader, quiet=True)
    assert [failure.key for failure in measured.failures] == ["4.png"]
    assert measured.rows.tolist() == [row for row in rows if row != 4]
    whole = measure(index, np.array([3, 5]), reader, quiet=True)
    places = [measured.rows.tolist().index(row) for row in (3, 5)]
    for part, expected in zip(measured.maps, whole.maps, strict=True):
        np.testing.assert_allclose(part[places], expected, rtol=1e-12)


def test_torch_threads_are_restored_and_no_faces_give_no_measurement(faces):
    index, (reader, _) = faces
    before = torch.get_num_threads()
    measured = measure(index, np.arange(0), reader, quiet=True)
    assert len(measured.rows) == len(measured.maps.inside) == 0
    torch.set_num_threads(2)
    try:
        measure(index, np.arange(3), reader, quiet=True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

"""Faces followed over the frames of a video."""

from __future__ import annotations

from focus.data.prepare.tracks import follow, steady_boxes
from tests.focus.data.prepare.making import square


def test_tracks_follow_faces_over_gaps_and_change_of_order():
    frames = [
        [square(0, 0), square(40, 0)],
        [square(43, 2), square(3, 1)],
        [],
        [square(50, 3), square(200, 0), square(8, 2)],
    ]
    assert follow(frames) == [[0, 1], [1, 0], [], [1, 2, 0]]
    assert follow([[square(0, 0)], [square(16, 0)], [square(33, 0)]]) == [[0], [0], [1]]
    assert follow([]) == []


def test_two_faces_of_a_frame_never_share_a_track():
    assert follow([[square(0, 0)], [square(1, 0), square(2, 0)]]) == [[0], [0, 1]]


def test_boxes_of_a_track_have_the_median_size_around_their_own_centres():
    frames = [[square(0, 0, 10)], [square(0, 0, 20)], [square(4, 0, 12), square(100, 0, 40)]]
    boxes = steady_boxes(frames, [[0], [0], [0, 1]], 1.5)
    sides = [[right - left for left, _, right, _ in each] for each in boxes]
    assert sides == [[18], [18], [18, 60]]
    for faces, squares in zip(frames, boxes, strict=True):
        for face, (left, top, right, bottom) in zip(faces, squares, strict=True):
            assert abs((left + right) - (face.left + face.right)) <= 1
            assert abs((top + bottom) - (face.top + face.bottom)) <= 1

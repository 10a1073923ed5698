"""Coverage of the 95 % intervals, by simulating worlds whose true value is known.

Scores: half of the videos are real, a video has 8 faces, and half of the variance of a score is
common to a video. ``even``: scores of both classes are normal. ``missed``: some fake videos look
real, and all others are found, so the errors are in few videos. Maps: a mean over fakes of a value
per face that varies with the video, and a ratio of pooled pixels. Differences: two systems on the
same videos, the second slightly worse. The truth is the value over very many videos.

Prints, per metric and number of videos: the share of worlds whose interval contains the truth, its
mean width, and the share of worlds without an interval. For comparison ``--percentile`` uses the
percentiles of the same draws. The default takes about 8 minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy.stats import norm

from evaluator.metrics import intervals
from evaluator.metrics.image import auc_difference, image_metrics
from evaluator.metrics.intervals import Estimate, Resampling, Term, estimate, mean
from focus.ranking import divide

FACES = 8
MANY = 100_000  # videos used to compute the truth
DETECTION = ("frame_auc", "video_auc", "frame_acc", "video_acc", "frame_eer", "frame_ap")
Found = Mapping[str, Estimate]
World = Callable[[int, np.random.Generator, int], Found]  # videos, generator, draws


@dataclass
class Tally:
    """Results of a metric over worlds."""

    truth: float
    hits: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    worlds: int = 0

    def add(self, found: Estimate) -> None:
        """Count an estimate."""
        self.worlds += 1
        if found.low is not None and found.high is not None:
            self.hits.append(found.low <= self.truth <= found.high)
            self.widths.append(found.high - found.low)

    @property
    def coverage(self) -> float:
        """Share of the intervals that contain the truth; NaN if there is no interval."""
        return float(np.mean(self.hits)) if self.hits else float("nan")


def draw_scores(
    kind: str, area: float, videos: int, generator: np.random.Generator, systems: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (systems, N) in (0, 1), labels (N,) and videos (N,) of a world."""
    labels = np.arange(videos) % 2
    distance = np.sqrt(2) * norm.ppf(area)
    if kind == "even":
        shift = labels * distance
    else:
        missed = generator.random(videos) < 2 * (1 - area)
        distance, shift = 8.0, np.where(missed, 0.0, labels * 8.0)
    common = generator.normal(size=(videos, 1))
    own = generator.normal(size=(systems, videos, FACES))
    between = generator.normal(size=(systems, videos, 1))
    spread = common if systems == 1 else np.sqrt(0.7) * common + np.sqrt(0.3) * between
    slope = 1 - 0.1 * np.arange(systems)[:, None, None]  # the second is a little worse
    raw = slope * (shift[:, None] - distance / 2) + np.sqrt(0.5) * spread + np.sqrt(0.5) * own
    scores = 1 / (1 + np.exp(-raw))
    numbers = np.repeat(np.arange(videos), FACES)
    return scores.reshape(systems, -1), np.repeat(labels, FACES), numbers


def detect(kind: str, area: float) -> World:
    """Return a world of scores, with the metrics of ``evaluator score``."""

    def world(videos: int, generator: np.random.Generator, draws: int) -> Found:
        scores, labels, numbers = draw_scores(kind, area, videos, generator)
        found = image_metrics(scores[0], labels, numbers, Resampling(numbers, draws))
        return {name: found[name] for name in DETECTION}

    return world


def compare(kind: str, area: float) -> World:
    """Return a world of two systems, and the differences of their AUCs."""

    def world(videos: int, generator: np.random.Generator, draws: int) -> Found:
        scores, labels, numbers = draw_scores(kind, area, videos, generator, systems=2)
        found = auc_difference(scores[0], scores[1], labels, numbers, Resampling(numbers, draws))
        return {f"{name} difference": value for name, value in found.items()}

    return world


def localise(middle: float) -> World:
    """Return a world of maps: a mean of values per face, and a ratio of pooled pixels."""

    def world(videos: int, generator: np.random.Generator, draws: int) -> Found:
        numbers = np.repeat(np.arange(videos), FACES)
        centres = generator.beta(12 * middle, 12 * (1 - middle), size=videos)[numbers]
        values = generator.beta(20 * centres + 0.01, 20 * (1 - centres) + 0.01)
        areas = generator.lognormal(0, 0.7, size=videos)[numbers]
        sums = np.stack([areas * values, areas], axis=1)
        every = np.ones(len(numbers), dtype=bool)
        pooled = Term("pooled ratio", sums.__getitem__, _ratio, every, "")
        terms = [mean("mean over faces", values, ""), pooled]
        return estimate(terms, Resampling(numbers, draws))

    return world


def _ratio(sums: np.ndarray) -> np.ndarray:
    return divide(sums[:, 0], sums[:, 1])


WORLDS: Mapping[str, Mapping[float, World]] = {
    **{kind: {area: detect(kind, area) for area in (0.72, 0.98)} for kind in ("even", "missed")},
    "maps": {middle: localise(middle) for middle in (0.72, 0.95)},
    **{
        f"two, {kind}": {area: compare(kind, area) for area in (0.72, 0.98)}
        for kind in ("even", "missed")
    },
}


@cache
def truth_of(kind: str, area: float) -> Mapping[str, float]:
    """Return the true value of every metric of a world."""
    found = WORLDS[kind][area](MANY, np.random.default_rng(1), 0)
    return {name: float("nan" if one.value is None else one.value) for name, one in found.items()}


def simulate(
    kind: str, area: float, videos: int, worlds: int, draws: int, seed: int = 0
) -> dict[str, Tally]:
    """Return the results of every metric over the given numbers of worlds and videos."""
    tallies = {name: Tally(value) for name, value in truth_of(kind, area).items()}
    for number in range(worlds):
        generator = np.random.default_rng([seed, videos, number])
        for name, found in WORLDS[kind][area](videos, generator, draws).items():
            tallies[name].add(found)
    return tallies


def rows(
    kinds: Sequence[str], sizes: Sequence[int], worlds: int, draws: int, seed: int
) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| world | metric | truth | {' | '.join(f'{size} videos' for size in sizes)} |"
    yield f"|---|---|---|{'---|' * len(sizes)}"
    for kind in kinds:
        for area in WORLDS[kind]:
            seen = [simulate(kind, area, size, worlds, draws, seed) for size in sizes]
            for name, first in seen[0].items():
                cells = []
                for one in (tallies[name] for tallies in seen):
                    none = 1 - len(one.hits) / one.worlds
                    missing = f", none in {none:.0%}" if none else ""
                    width = np.mean(one.widths) if one.widths else float("nan")
                    cells.append(f"{one.coverage:.3f} ({width:.3f}{missing})")
                yield f"| {kind} {area} | {name} | {first.truth:.3f} | {' | '.join(cells)} |"


def take_percentiles() -> None:
    """Replace our interval by percentiles of the draws."""

    def stated(value: float, drawn: np.ndarray, videos: float, n: int, **_: object) -> Estimate:
        low, high = np.nanpercentile(drawn, [2.5, 97.5]) if len(drawn) else (None, None)
        return Estimate(float(value), low, high, n)

    import evaluator.metrics.image as image

    for module in (intervals, image):
        vars(module)["stated"] = stated


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--videos", nargs="+", type=int, default=[20, 50, 200])
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="seed of the worlds")
    parser.add_argument("--percentile", action="store_true", help="use percentiles of the draws")
    flags = parser.parse_args()
    if flags.percentile:
        take_percentiles()
    for line in rows(flags.kinds, flags.videos, flags.worlds, flags.draws, flags.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()

"""What a published table is: who learnt from what, judged by what, and what was printed.

A table is a grid of cells. A cell is a setting (a detector under a kind of map, or a network that
learns from labels alone, with its training faces), judged by one metric on one test set.
"""

from __future__ import annotations

from dataclasses import dataclass

from evaluator.metrics import METRICS
from evaluator.perturbations import KINDS

CLEAN = "clean"
COSTS = ("macs", "parameters", "throughput")
FRAMES = 10


@dataclass(frozen=True)
class Faces:
    """Part of a corpus."""

    name: str
    """Short and unique: files and results are called so."""
    corpus: str
    """Our name of the corpus."""
    compression: str = ""
    """raw, c23 or c40, where the corpus has several."""
    methods: tuple[str, ...] = ()
    """Forgery methods by the corpus's names; empty: all."""
    part: str = ""
    """Folder of the corpus that is taken for its root."""
    frames: int = FRAMES
    """Frames of each video, evenly spread, where it comes as videos."""
    cut: tuple[str, ...] = ()
    """Methods whose faces are cut out of the videos together with these; empty: these alone."""


@dataclass(frozen=True)
class Network:
    """A network trained by ``focus train``, from labels alone."""

    kind: str = "focus"
    """Its name in the registry of detectors."""
    flags: tuple[str, ...] = ()
    """Further flags of ``focus train``."""

    @property
    def name(self) -> str:
        """Kind and flags as part of a file name."""
        return "-".join([self.kind, *(flag.removeprefix("--") for flag in self.flags)])


@dataclass(frozen=True)
class Maps:
    """What a detector learns from beside labels."""

    method: str = "none"
    """none, zeros, truth (the masks of the faces), or a method of ``focus generate``."""
    network: Network | None = None
    """Whose maps they are, if it has to be trained first, on the same faces."""

    @property
    def name(self) -> str:
        """The method, and the network if its name says more, as part of a file name."""
        more = self.network is not None and self.network.name != self.method
        return f"{self.method}-{self.network.name}" if more and self.network else self.method


NO_MAPS, TRUTH = Maps(), Maps("truth")


@dataclass(frozen=True)
class Column:
    """A test set and a metric."""

    title: str
    """As the paper has it."""
    metric: str
    """Our name of the metric that equals the paper's; empty where none does."""
    test: Faces | None = None
    """Whose test split is judged; None: that of the training faces."""
    train: Faces | None = None
    """What is trained on, where the columns differ in it."""
    kind: str = ""
    """How the test faces are corrupted: a kind of ``evaluator robustness``, or clean beside it."""
    scale: float = 100.0
    """Printed number over our value: 100 for per cent."""
    average_of: tuple[str, ...] = ()
    """Titles of columns; ours is then the mean over them."""

    def __post_init__(self) -> None:
        assert self.metric in (*METRICS, *COSTS, ""), self.metric
        assert self.kind in (*KINDS, CLEAN, ""), self.kind


@dataclass(frozen=True)
class Row:
    """A method of the table, with what was printed for it."""

    label: str
    """As the paper has it."""
    published: tuple[float | None, ...]
    """A number for each column; None where there is none, or it cannot be read."""
    detector: str = ""
    """Ours, trained by ``evaluator run``; empty: see ``network``."""
    maps: Maps = NO_MAPS
    """What the detector learns from."""
    network: Network | None = None
    """Judged itself, where no detector is named. Neither: only the printed numbers are shown."""
    train: Faces | None = None
    """What is trained on, unless the column says it."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the detector."""
    note: str = ""
    """What the number depends on."""


@dataclass(frozen=True)
class Setting:
    """What is trained for a cell."""

    detector: str
    maps: Maps
    network: Network | None
    train: Faces | None
    options: tuple[str, ...]

    @property
    def name(self) -> str:
        """Unique, and fit for a folder."""
        who = self.network.name if self.network else f"{self.detector}-{self.maps.name}"
        words = [option.replace("=", "-") for option in self.options]
        return "-".join([who, *words, *([self.train.name] if self.train else [])])


@dataclass(frozen=True)
class Protocol:
    """A published table."""

    name: str
    """Such as focus-table-2."""
    title: str
    """What it shows."""
    source: str
    """Where the numbers were read."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    selection: str = "val"
    """The split on which weights are selected; nothing is ever selected on test."""
    seeds: int = 1
    """How often every detector is trained; the papers name no repetitions."""
    notes: tuple[str, ...] = ()
    """Where this differs from the paper, and what the text does not say."""

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row.published) == len(self.columns), f"{self.name}: {row.label}"

    def setting(self, row: Row, column: Column) -> Setting | None:
        """Return what is trained for a cell; None where only the printed number is shown."""
        train = column.train or row.train
        ours = bool(row.detector or row.network) and bool(column.metric) and not column.average_of
        if not ours or not (train or column.metric in COSTS):
            return None
        return Setting(row.detector, row.maps, row.network, train, row.options)

    def test_name(self, row: Row, column: Column) -> str:
        """Return what the results call the test set of a cell."""
        faces = column.test or column.train or row.train
        words = [faces.name if faces else "", column.kind]
        return ":".join(word for word in words if word)


def numbers(text: str) -> tuple[float | None, ...]:
    """Return the numbers of a printed row; ``-`` was not printed, ``?`` cannot be read."""
    return tuple(None if word in ("-", "?") else float(word) for word in text.split())

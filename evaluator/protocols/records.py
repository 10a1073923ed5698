"""Records of published tables: detectors, training data, tests, metrics, published numbers.

A table is a grid of cells. A cell is a setting (a detector trained with a kind of map, or a network
trained on labels only, and its training faces), evaluated by one metric on one test set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evaluator.metrics import METRICS
from evaluator.perturbations import KINDS
from focus.config import given_values
from focus.training.options import NetworkOptions

CLEAN = "clean"
COSTS = ("macs", "parameters", "throughput")
FRAMES = 10
OTHERS = (
    "the paper does not say with which settings it trained the other detectors; here each has "
    "those of the paper that introduced it"
)
"""Note on a table that compares with detectors of other papers."""


@dataclass(frozen=True)
class Faces:
    """Part of a corpus."""

    name: str
    """Short unique name, used for files and results."""
    corpus: str
    """Our name of the corpus."""
    compression: str = ""
    """raw, c23 or c40, if the corpus has several."""
    methods: tuple[str, ...] = ()
    """Forgery methods as named by the corpus; empty: all."""
    part: str = ""
    """Subfolder of the corpus that is used as root."""
    frames: int = FRAMES
    """Frames per video, evenly spread, if the corpus has videos."""
    cut: tuple[str, ...] = ()
    """Methods whose faces are extracted together with these; empty: only these."""


@dataclass(frozen=True)
class Network:
    """A network trained by ``focus train`` on labels only."""

    kind: str
    """Name in the detector registry."""
    settings: NetworkOptions = field(default_factory=NetworkOptions)
    """Its settings."""

    @property
    def name(self) -> str:
        """Kind and settings, for file names."""
        settings = (f"{name}-{value}" for name, value in given_values(self.settings).items())
        return "-".join([self.kind, *settings])


@dataclass(frozen=True)
class Maps:
    """Supervision of a detector besides labels."""

    method: str = "none"
    """none, zeros, truth (the masks of the faces), or a method of ``focus generate``."""
    network: Network | None = None
    """Network that generates the maps, to be trained first on the same faces; None: none."""

    @property
    def name(self) -> str:
        """The method, and the network if named differently, for file names."""
        more = self.network is not None and self.network.name != self.method
        return f"{self.method}-{self.network.name}" if more and self.network else self.method


NO_MAPS, TRUTH = Maps(), Maps("truth")


@dataclass(frozen=True)
class Column:
    """A test set and a metric."""

    title: str
    """As in the paper."""
    metric: str
    """Our name of the paper's metric; empty if we have no equal metric."""
    test: Faces | None = None
    """Faces whose test split is used; None: the training faces."""
    train: Faces | None = None
    """Training faces, if they differ between columns."""
    kind: str = ""
    """Corruption of the test faces: a kind of ``evaluator robustness``, or clean."""
    scale: float = 100.0
    """Factor from our value to the printed number: 100 for per cent."""
    average_of: tuple[str, ...] = ()
    """Titles of columns whose mean is our value."""

    def __post_init__(self) -> None:
        assert self.metric in (*METRICS, *COSTS, ""), self.metric
        assert self.kind in (*KINDS, CLEAN, ""), self.kind


@dataclass(frozen=True)
class Row:
    """A method of the table, with its published numbers."""

    label: str
    """As in the paper."""
    published: tuple[float | None, ...]
    """A number per column; None if missing or unreadable."""
    detector: str = ""
    """A registered detector, trained by ``evaluator run``; empty: see ``network``. Where it is not
    installed, the numbers of the row are only quoted."""
    maps: Maps = NO_MAPS
    """Supervision of the detector."""
    network: Network | None = None
    """Evaluated itself if no detector is named. If both are empty: only published numbers."""
    train: Faces | None = None
    """Training faces, unless given by the column."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the detector."""
    note: str = ""
    """Remark on the numbers."""
    predictions: str = ""
    """Folder of an outside system's predictions, judged in place of a training: TRAIN/TEST.csv,
    .json or .h5, or a folder TRAIN/TEST of maps, by the names of the faces."""

    @property
    def trained(self) -> str:
        """The detector to be trained; empty: none."""
        return self.detector or (self.network.kind if self.network else "")


@dataclass(frozen=True)
class Setting:
    """Training of a cell."""

    detector: str
    maps: Maps
    network: Network | None
    train: Faces | None
    options: tuple[str, ...]
    predictions: str = ""

    @property
    def name(self) -> str:
        """Unique name, valid as a folder name."""
        if self.predictions:
            return f"{Path(self.predictions).name}-{self.train.name if self.train else ''}"
        who = self.network.name if self.network else f"{self.detector}-{self.maps.name}"
        words = [option.replace("=", "-") for option in self.options]
        return "-".join([who, *words, *([self.train.name] if self.train else [])])


@dataclass(frozen=True)
class Protocol:
    """A published table."""

    name: str
    """Name, such as focus-table-2."""
    title: str
    """Content of the table."""
    source: str
    """Source of the numbers."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    selection: str = "val"
    """Split on which weights are selected; never test."""
    seeds: int = 1
    """Trainings per detector; the papers do not state repetitions."""
    notes: tuple[str, ...] = ()
    """Deviations from the paper, and gaps in its text."""

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row.published) == len(self.columns), f"{self.name}: {row.label}"

    def setting(self, row: Row, column: Column) -> Setting | None:
        """Return the setting of a cell; None if only the published number is shown."""
        train = column.train or row.train
        known = bool(row.trained or row.predictions)
        ours = known and bool(column.metric) and not column.average_of
        if not ours or not (train or column.metric in COSTS):
            return None
        if row.predictions:
            return Setting("", NO_MAPS, None, train, (), row.predictions)
        return Setting(row.detector, row.maps, row.network, train, row.options)

    def test_name(self, row: Row, column: Column) -> str:
        """Return the name of a cell's test set in the results."""
        faces = column.test or column.train or row.train
        words = [faces.name if faces else "", column.kind]
        return ":".join(word for word in words if word)


def numbers(text: str) -> tuple[float | None, ...]:
    """Return the numbers of a printed row; ``-``: not printed, ``?``: unreadable."""
    return tuple(None if word in ("-", "?") else float(word) for word in text.split())

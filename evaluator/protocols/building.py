"""Convert cells to calls of commands: prepare, index, train and evaluate, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from evaluator.options import CostCommand
from evaluator.perturbations import SEVEN
from evaluator.protocols.effort import training_hours
from evaluator.protocols.places import Place
from evaluator.protocols.plans import Cell, Evidence, Form, Step
from evaluator.protocols.records import CLEAN, COSTS, Faces, Maps, Network, Protocol, Setting
from evaluator.robustness.options import RobustnessCommand
from evaluator.scoring.options import ScoreCommand
from evaluator.trial.options import JudgeCommand, RunCommand
from focus.data.indexing import IndexCommand
from focus.data.prepare import PrepareCommand
from focus.data.sources import INDEX_NAME, Source
from focus.errors import InputError
from focus.generation import GenerateCommand
from focus.runs import RunFolder
from focus.training.recipes import TrainCommand

T = TypeVar("T")
RESULT, ROBUSTNESS = "result.json", "robustness.json"
MIX = "mix"
PREDICTION_SUFFIXES = (".csv", ".json", ".h5")
PLAIN_MAPS = ("none", "zeros", "truth")


class Builder:
    """Collect steps by output, so that steps shared by cells run once."""

    def __init__(
        self,
        protocol: Protocol,
        out: Path,
        places: Mapping[Faces, Place],
        cells: Sequence[Cell],
    ) -> None:
        self.protocol, self.out, self.places, self.cells = protocol, out, places, cells
        self.steps: dict[Path, Step] = {}
        self.evidence: list[Evidence] = []
        self.faults: list[str] = []
        self._known_hours: dict[str, float] = {}

    def build(self) -> None:
        """Add the steps of every setting, in the order of the table."""
        for setting in dict.fromkeys(cell.setting for cell in self.cells):
            cells = [cell for cell in self.cells if cell.setting == setting]
            if any(cell.column.metric in COSTS for cell in cells):
                self._count(setting)
            elif setting.predictions:
                self._judge_predictions(setting, cells)
            elif setting.network:
                self._judge_network(setting, cells)
            else:
                self._run(setting, cells)

    def _add(
        self,
        options: Any,
        output: Path,
        faces: Iterable[Faces],
        hours: float = 0.0,
    ) -> Path:
        """Add a step unless it exists; return its output."""
        missing = [each.corpus for each in faces if not self.places[each].here]
        step = Step(options, output, hours, tuple(dict.fromkeys(missing)))
        self.steps.setdefault(output, step)
        return output

    def _hours(self, detector: str) -> float:
        """Return estimated hours; a missing detector adds a fault and counts 0."""
        if detector not in self._known_hours:
            self._known_hours[detector] = 0.0
            try:
                self._known_hours[detector] = training_hours(detector)
            except InputError as error:
                self.faults.append(str(error))
        return self._known_hours[detector]

    # Faces

    def _cut(self, faces: Faces) -> Path:
        """Return the folder of faces extracted from a corpus of videos."""
        same = [other for other in self.places if _selection(other) == _selection(faces)]
        trained = {cell.setting.train for cell in self.cells}
        wanted = [other.cut or other.methods for other in same]
        methods = list(dict.fromkeys(chain.from_iterable(wanted))) if all(wanted) else []
        name = "-".join([*filter(None, _selection(faces)[:2]), f"f{faces.frames}"])
        folder = self.out / "faces" / name
        source = replace(
            self._source(faces),
            methods=tuple(methods),
            split="" if trained & set(same) else "test",
            face_detector="retinaface",
        )
        options = PrepareCommand(source=source, frames=faces.frames, out=folder)
        self._add(options, folder / INDEX_NAME, [faces])
        return folder

    def _source(self, faces: Faces) -> Source:
        """Return the corpus of the faces."""
        root = self.places[faces].path
        return Source(faces.corpus, root, compression=faces.compression)

    def _list(self, faces: Faces, test: bool = False) -> Path:
        """Return an index of the faces: of the test split only, or of all splits."""
        place = self.places[faces]
        if place.prepared:
            source = Source(str(place.path))
        elif place.videos:
            source = Source(str(self._cut(faces)))
        else:
            source = self._source(faces)
        out = self.out / "lists" / f"{faces.name}{'-test' if test else ''}.csv"
        source = replace(source, methods=faces.methods)
        split = ("test",) if test else ()
        return self._add(IndexCommand(source, out, split), out, [faces])

    # Networks trained on labels, and maps

    def _train(self, network: Network, faces: Faces) -> Path:
        """Return the run folder of a network."""
        run = self.out / "runs" / f"{network.name}-{faces.name}"
        source = Source(str(self._list(faces)))
        options = TrainCommand(source, run, network.kind, network=network.settings)
        hours = self._hours(network.kind)
        self._add(options, RunFolder(run).finished_mark, [faces], hours)
        return run

    def _maps(self, maps: Maps, faces: Faces) -> Path | str:
        """Return the map file of training faces, or the keyword (none, zeros, truth)."""
        if maps.method in PLAIN_MAPS:
            return maps.method
        weights = str(self._train(maps.network, faces)) if maps.network else ""
        source = Source(str(self._list(faces)), split="train")
        out = self.out / "maps" / f"{maps.name}-{faces.name}.h5"
        options = GenerateCommand(source=source, method=maps.method, weights=weights, out=str(out))
        return self._add(options, out, [faces])

    # Numbers

    def _run(self, setting: Setting, cells: Sequence[Cell]) -> None:
        """Train a detector with maps and evaluate it, also on corrupted faces."""
        faces = _known(setting.train)
        folder = self.out / "results" / setting.name
        clean = [cell for cell in cells if not cell.column.kind]
        tests = list(dict.fromkeys(_known(cell.test) for cell in clean)) or [faces]
        maps, data = self._maps(setting.maps, faces), self._list(faces)
        named = [f"{test.name}={self._list(test, True)}" for test in tests]
        options = RunCommand(
            maps=str(maps),
            model=setting.detector,
            source=Source(str(data)),
            test=tuple(named),
            out=folder,
            seeds=self.protocol.seeds,
            options=setting.options,
        )
        hours = self._hours(setting.detector) * self.protocol.seeds
        result = self._add(options, folder / RESULT, [faces, *tests], hours)
        self._expect(setting, clean, result, "run")
        self._corrupt(setting, cells, setting.detector, folder / "seed-0")

    def _judge_network(self, setting: Setting, cells: Sequence[Cell]) -> None:
        """Train a network on labels and evaluate its scores and maps."""
        faces, network = _known(setting.train), _known(setting.network)
        run = self._train(network, faces)
        clean = [cell for cell in cells if not cell.column.kind]
        for test in dict.fromkeys(_known(cell.test) for cell in clean):
            data, used = self._list(test, True), [faces, test]
            maps = self.out / "maps" / f"{setting.name}-on-{test.name}.h5"
            options = GenerateCommand(
                source=Source(str(data)),
                method=network.kind,
                weights=str(run),
                real_maps="fake-class",
                out=str(maps),
            )
            self._add(options, maps, used)
            out = self.out / "results" / setting.name / f"{test.name}.json"
            result = self._score(maps, data, out, used)
            self._expect(setting, [cell for cell in clean if cell.test == test], result, "score")
        self._corrupt(setting, cells, network.kind, run)

    def _judge_predictions(self, setting: Setting, cells: Sequence[Cell]) -> None:
        """Evaluate the predictions of an outside system; a missing file adds a fault."""
        folder = Path(setting.predictions, _known(setting.train).name)
        clean = [cell for cell in cells if not cell.column.kind]
        for test in dict.fromkeys(_known(cell.test) for cell in clean):
            given = next((p for p in _prediction_paths(folder, test) if p.exists()), None)
            if given is None:
                self.faults.append(f"predictions: {folder / test.name}.csv, .json or .h5")
                continue
            out = self.out / "results" / setting.name / test.name
            options = JudgeCommand(given, Source(str(self._list(test, True))), out)
            result = self._add(options, out / RESULT, [test])
            self._expect(setting, [cell for cell in clean if cell.test == test], result, "judge")

    def _corrupt(self, setting: Setting, cells: Sequence[Cell], method: str, weights: Path) -> None:
        """Evaluate on corrupted test faces: ``mix`` by all metrics, other kinds by AUC."""
        corrupted = [cell for cell in cells if cell.column.kind]
        for test in dict.fromkeys(_known(cell.test) for cell in corrupted):
            here = [cell for cell in corrupted if cell.test == test]
            kinds = [k for k in dict.fromkeys(cell.column.kind for cell in here) if k != CLEAN]
            data, used = self._list(test, True), [_known(setting.train), test]
            folder = self.out / "results" / setting.name / f"robustness-{test.name}"
            options = RobustnessCommand(
                folder,
                Source(str(data)),
                model=method,
                weights=str(weights),
                corruptions=tuple(kinds) or SEVEN,
            )
            result = self._add(options, folder / ROBUSTNESS, used)
            mixed = [cell for cell in here if cell.column.kind == MIX]
            others = [cell for cell in here if cell.column.kind != MIX]
            self._expect(setting, others, result, "robustness")
            if mixed:
                out = folder.with_name(f"{test.name}-{MIX}.json")
                score = self._score(folder / f"{MIX}-1.h5", data, out, used)
                self._expect(setting, mixed, score, "score")

    def _score(self, maps: Path, data: Path, out: Path, used: Iterable[Faces]) -> Path:
        return self._add(ScoreCommand(maps, str(data), json=out), out, used)

    def _count(self, setting: Setting) -> None:
        out = self.out / "results" / setting.name / "cost.json"
        self._add(CostCommand(_known(setting.network).kind, json=out), out, [])
        self.evidence.append(Evidence(setting.name, "", out, "cost"))

    def _expect(self, setting: Setting, cells: Iterable[Cell], path: Path, form: Form) -> None:
        """Record the result file of cells."""
        for cell in cells:
            test = self.protocol.test_name(cell.row, cell.column)
            self.evidence.append(Evidence(setting.name, test, path, form))


def _prediction_paths(folder: Path, test: Faces) -> list[Path]:
    """Return where predictions of a test set may be: a file, or a folder of maps."""
    return [folder / f"{test.name}{suffix}" for suffix in (*PREDICTION_SUFFIXES, "")]


def _known(value: T | None) -> T:
    """Return a value that is never None for this kind of setting."""
    assert value is not None
    return value


def _selection(faces: Faces) -> tuple[str, str, str, int]:
    """Return the key of selections whose faces are extracted together."""
    return faces.corpus, faces.compression, faces.part, faces.frames

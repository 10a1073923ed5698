"""Convert cells to commands: prepare, index, train and evaluate, each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from evaluator.protocols.effort import training_hours
from evaluator.protocols.places import Place
from evaluator.protocols.plans import Cell, Evidence, Form, Step
from evaluator.protocols.records import CLEAN, COSTS, Faces, Maps, Network, Protocol, Setting
from focus.data.sources import INDEX_NAME
from focus.errors import InputError
from focus.runs import RunFolder

T = TypeVar("T")
Words = list[str | Path]
RESULT, ROBUSTNESS = "result.json", "robustness.json"
MIX = "mix"
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
            elif setting.network:
                self._judge_network(setting, cells)
            else:
                self._run(setting, cells)

    def _add(
        self,
        program: Literal["focus", "evaluator"],
        words: Iterable[str | Path],
        output: Path,
        faces: Iterable[Faces],
        hours: float = 0.0,
    ) -> Path:
        """Add a step unless it exists; return its output."""
        missing = [each.corpus for each in faces if not self.places[each].here]
        arguments = tuple(str(word) for word in words)
        step = Step(program, arguments, output, hours, tuple(dict.fromkeys(missing)))
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
        same = [other for other in self.places if _source(other) == _source(faces)]
        trained = {cell.setting.train for cell in self.cells}
        wanted = [other.cut or other.methods for other in same]
        methods = list(dict.fromkeys(chain.from_iterable(wanted))) if all(wanted) else []
        name = "-".join([*filter(None, _source(faces)[:2]), f"f{faces.frames}"])
        folder = self.out / "faces" / name
        words = ["prepare", *self._name(faces), *_flag("--methods", methods)]
        words += [] if trained & set(same) else ["--split", "test"]
        words += ["--frames", str(faces.frames), "--face-detector", "retinaface", "--out", folder]
        self._add("focus", words, folder / INDEX_NAME, [faces])
        return folder

    def _name(self, faces: Faces) -> Words:
        """Return the flags that select a corpus."""
        compression = ["--compression", faces.compression] if faces.compression else []
        return ["--data", faces.corpus, "--root", self.places[faces].path, *compression]

    def _list(self, faces: Faces, test: bool = False) -> Path:
        """Return an index of the faces: of the test split only, or of all splits."""
        place = self.places[faces]
        if place.prepared:
            named: Words = ["--data", place.path]
        elif place.videos:
            named = ["--data", self._cut(faces)]
        else:
            named = self._name(faces)
        out = self.out / "lists" / f"{faces.name}{'-test' if test else ''}.csv"
        split = ["--split", "test"] if test else []
        words = ["index", *named, *_flag("--methods", faces.methods), *split, "--out", out]
        return self._add("focus", words, out, [faces])

    # Networks trained on labels, and maps

    def _train(self, network: Network, faces: Faces) -> Path:
        """Return the run folder of a network."""
        run = self.out / "runs" / f"{network.name}-{faces.name}"
        recipe = ["paper"] if network.kind == "focus" else ["--model", network.kind]
        words: Words = ["train", *recipe, *network.flags, "--data", self._list(faces)]
        hours = self._hours(network.kind)
        self._add("focus", [*words, "--out", run], RunFolder(run).finished_mark, [faces], hours)
        return run

    def _maps(self, maps: Maps, faces: Faces) -> Path | str:
        """Return the map file of training faces, or the keyword (none, zeros, truth)."""
        if maps.method in PLAIN_MAPS:
            return maps.method
        words: Words = ["generate", "--method", maps.method]
        words += ["--weights", self._train(maps.network, faces)] if maps.network else []
        words += ["--data", self._list(faces), "--split", "train"]
        out = self.out / "maps" / f"{maps.name}-{faces.name}.h5"
        return self._add("focus", [*words, "--out", out], out, [faces])

    # Numbers

    def _run(self, setting: Setting, cells: Sequence[Cell]) -> None:
        """Train a detector with maps and evaluate it, also on corrupted faces."""
        faces = _known(setting.train)
        folder = self.out / "results" / setting.name
        clean = [cell for cell in cells if not cell.column.kind]
        tests = list(dict.fromkeys(_known(cell.test) for cell in clean)) or [faces]
        maps, data = self._maps(setting.maps, faces), self._list(faces)
        named = [f"{test.name}={self._list(test, True)}" for test in tests]
        words: Words = ["run", "--model", setting.detector, "--maps", maps, "--data", data]
        words += [*_flag("--test", named), *_flag("--options", setting.options)]
        words += ["--seeds", str(self.protocol.seeds), "--out", folder]
        hours = self._hours(setting.detector) * self.protocol.seeds
        result = self._add("evaluator", words, folder / RESULT, [faces, *tests], hours)
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
            words: Words = ["generate", "--method", network.kind, "--weights", run, "--data", data]
            words += ["--real-maps", "fake-class", "--out", maps]
            self._add("focus", words, maps, used)
            out = self.out / "results" / setting.name / f"{test.name}.json"
            result = self._score(maps, data, out, used)
            self._expect(setting, [cell for cell in clean if cell.test == test], result, "score")
        self._corrupt(setting, cells, network.kind, run)

    def _corrupt(self, setting: Setting, cells: Sequence[Cell], method: str, weights: Path) -> None:
        """Evaluate on corrupted test faces: ``mix`` by all metrics, other kinds by AUC."""
        corrupted = [cell for cell in cells if cell.column.kind]
        for test in dict.fromkeys(_known(cell.test) for cell in corrupted):
            here = [cell for cell in corrupted if cell.test == test]
            kinds = [k for k in dict.fromkeys(cell.column.kind for cell in here) if k != CLEAN]
            data, used = self._list(test, True), [_known(setting.train), test]
            folder = self.out / "results" / setting.name / f"robustness-{test.name}"
            words: Words = ["robustness", "--model", method, "--weights", weights, "--data", data]
            words += [*_flag("--corruptions", kinds), "--out", folder]
            result = self._add("evaluator", words, folder / ROBUSTNESS, used)
            mixed = [cell for cell in here if cell.column.kind == MIX]
            others = [cell for cell in here if cell.column.kind != MIX]
            self._expect(setting, others, result, "robustness")
            if mixed:
                out = folder.with_name(f"{test.name}-{MIX}.json")
                score = self._score(folder / f"{MIX}-1.h5", data, out, used)
                self._expect(setting, mixed, score, "score")

    def _score(self, maps: Path, data: Path, out: Path, used: Iterable[Faces]) -> Path:
        words: Words = ["score", "--maps", maps, "--data", data, "--split", "test", "--json", out]
        return self._add("evaluator", words, out, used)

    def _count(self, setting: Setting) -> None:
        out = self.out / "results" / setting.name / "cost.json"
        self._add("evaluator", ["cost", _known(setting.network).kind, "--json", out], out, [])
        self.evidence.append(Evidence(setting.name, "", out, "cost"))

    def _expect(self, setting: Setting, cells: Iterable[Cell], path: Path, form: Form) -> None:
        """Record the result file of cells."""
        for cell in cells:
            test = self.protocol.test_name(cell.row, cell.column)
            self.evidence.append(Evidence(setting.name, test, path, form))


def _known(value: T | None) -> T:
    """Return a value that is never None for this kind of setting."""
    assert value is not None
    return value


def _source(faces: Faces) -> tuple[str, str, str, int]:
    """Return the key of selections whose faces are extracted together."""
    return faces.corpus, faces.compression, faces.part, faces.frames


def _flag(name: str, values: Sequence[str]) -> Words:
    return [name, *values] if values else []

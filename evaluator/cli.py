"""The command line ``evaluator``: the same table and the same rules as ``focus``."""

from __future__ import annotations

from focus.commands import Command, run

COMMANDS = {
    "run": Command(
        "evaluator.trial.options:RunCommand",
        "evaluator.trial.command:run_command",
        "train a detector with maps as supervision and test it on other faces",
        "evaluator run --maps focus.h5 --model probe --test cdf=faces/cdf --out results/focus",
        moved={
            "--predictions": "evaluator judge PREDICTIONS --data FACES --out DIR",
            "--protocol": "evaluator protocol NAME --root DIR --out DIR",
            "--dry-run": "evaluator protocol NAME --root DIR --dry-run",
        },
    ),
    "judge": Command(
        "evaluator.trial.options:JudgeCommand",
        "evaluator.trial.outside:judge_command",
        "judge the scores or maps of an outside system",
        "evaluator judge theirs.csv --data index.csv --out results/theirs",
        words="predictions",
    ),
    "protocol": Command(
        "evaluator.protocols:ProtocolCommand",
        "evaluator.protocols:protocol_command",
        "run a paper's table and compare with its numbers",
        "evaluator protocol focus-table-2 --root corpora --dry-run",
        words="name",
    ),
    "score": Command(
        "evaluator.scoring.options:ScoreCommand",
        "evaluator.scoring.command:score_command",
        "judge maps against truth masks, without training",
        "evaluator score focus.h5 --data index.csv --split test",
        words="maps",
    ),
    "robustness": Command(
        "evaluator.robustness:RobustnessCommand",
        "evaluator.robustness:robustness_command",
        "corrupt the pictures and see what scores and maps withstand",
        "evaluator robustness --model focus --weights runs/first --data ffpp --out robustness",
    ),
    "embed": Command(
        "evaluator.options:EmbedCommand",
        "evaluator.embedding:embed_command",
        "lay out in the plane what a trained network makes of faces",
        "evaluator embed --weights runs/first --data index.csv --split test --out embedding",
    ),
    "cost": Command(
        "evaluator.options:CostCommand",
        "evaluator.cost:cost_command",
        "measure parameters, arithmetic, throughput and memory of a detector or generator",
        "evaluator cost probe --device cuda --precision bf16",
        words="name",
    ),
    "models": Command(
        "evaluator.options:ModelsCommand",
        "evaluator.models:models_command",
        "list every detector and generator that is installed",
        "evaluator models --json -",
    ),
    "check": Command(
        "evaluator.options:CheckCommand",
        "evaluator.checking:check_command",
        "hold a detector to the contract",
        "evaluator check pcl --options image_size=128",
        words="name",
    ),
    "export": Command(
        "evaluator.interchange:ExportCommand",
        "evaluator.interchange:export_command",
        "write maps in the form of another tool",
        "evaluator export focus.h5 --format imdl --out theirs",
        words="maps",
    ),
    "import": Command(
        "evaluator.interchange:ImportCommand",
        "evaluator.interchange:import_command",
        "make a map file of what an outside system predicted",
        "evaluator import theirs --data faces/index.csv --out theirs.h5",
        words="predictions",
    ),
    "table": Command(
        "evaluator.tables:TableCommand",
        "evaluator.tables:table_command",
        "set results side by side",
        "evaluator table focus.json gradcam.json --format latex",
        words="results",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run ``evaluator`` and return its exit code."""
    about = "Judges manipulation maps, and the detectors that learn from them."
    return run("evaluator", about, COMMANDS, arguments)

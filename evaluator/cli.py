"""Command line ``evaluator``: a table of commands, parsed as for ``focus``."""

from __future__ import annotations

from focus.commands import Command, run

COMMANDS = {
    "run": Command(
        "evaluator.trial.options:RunCommand",
        "evaluator.trial.command:run_command",
        "train a detector with maps as supervision and test it on unseen faces",
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
        "score predictions made by another system",
        "evaluator judge theirs.csv --data index.csv --out results/theirs",
        words="predictions",
    ),
    "compare": Command(
        "evaluator.comparison.options:CompareCommand",
        "evaluator.comparison.command:compare_command",
        "train detectors under several kinds of maps and compare them",
        "evaluator compare --model pcl caddm --maps focus.h5 ssim.h5 none --seeds 3",
    ),
    "protocol": Command(
        "evaluator.protocols:ProtocolCommand",
        "evaluator.protocols:protocol_command",
        "reproduce a table of a paper and compare with its numbers",
        "evaluator protocol focus-table-2 --root corpora --dry-run",
        words="name",
    ),
    "score": Command(
        "evaluator.scoring.options:ScoreCommand",
        "evaluator.scoring.command:score_command",
        "score maps against ground-truth masks, without training",
        "evaluator score focus.h5 --data index.csv --split test",
        words="maps",
    ),
    "robustness": Command(
        "evaluator.robustness:RobustnessCommand",
        "evaluator.robustness:robustness_command",
        "measure robustness of scores and maps to image corruptions",
        "evaluator robustness --model focus --weights runs/first --data ffpp --out robustness",
        moved={"--kinds": "--corruptions"},
    ),
    "embed": Command(
        "evaluator.options:EmbedCommand",
        "evaluator.embedding:embed_command",
        "plot a t-SNE of a trained network's features",
        "evaluator embed --weights runs/first --data index.csv --split test --out embedding",
    ),
    "cost": Command(
        "evaluator.options:CostCommand",
        "evaluator.cost:cost_command",
        "measure parameters, MACs, throughput and memory of a detector or generator",
        "evaluator cost probe --device cuda --precision bf16",
        words="name",
    ),
    "models": Command(
        "evaluator.options:ModelsCommand",
        "evaluator.models:models_command",
        "list installed detectors and generators",
        "evaluator models --json -",
    ),
    "check": Command(
        "evaluator.options:CheckCommand",
        "evaluator.checking:check_command",
        "check that a detector implements the contract",
        "evaluator check pcl --options image_size=128",
        words="name",
    ),
    "export": Command(
        "evaluator.interchange:ExportCommand",
        "evaluator.interchange:export_command",
        "convert maps to the format of another tool",
        "evaluator export focus.h5 --format imdl --out theirs",
        words="maps",
    ),
    "import": Command(
        "evaluator.interchange:ImportCommand",
        "evaluator.interchange:import_command",
        "convert predictions of another system to a map file",
        "evaluator import theirs --data faces/index.csv --out theirs.h5",
        words="predictions",
    ),
    "table": Command(
        "evaluator.tables:TableCommand",
        "evaluator.tables:table_command",
        "compare results in one table",
        "evaluator table focus.json gradcam.json --format latex",
        words="results",
        moved={"--metrics": "--columns"},
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run ``evaluator`` and return its exit code."""
    about = "Evaluate manipulation maps, and detectors trained with them."
    return run("evaluator", about, COMMANDS, arguments)

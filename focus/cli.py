"""The ``focus`` command line: a table of commands; modules load when a command is called."""

from __future__ import annotations

from focus.commands import Command, run

COMMANDS = {
    "look": Command(
        "focus.look.options:LookCommand",
        "focus.look.command:look_command",
        "examine photographs and clips: faces, verdicts, maps and a page",
        "focus look photo.jpg",
        words="paths",
    ),
    "app": Command(
        "focus.app.options:AppCommand",
        "focus.app.command:app_command",
        "serve a page that examines photographs and clips on this machine",
        "focus app --open",
    ),
    "weights": Command(
        "focus.released.command:WeightsCommand",
        "focus.released.command:weights_command",
        "list released models, show one (info NAME) or download one (fetch NAME)",
        "focus weights list",
        words="words",
    ),
    "index": Command(
        "focus.data.indexing:IndexCommand",
        "focus.data.indexing:index_command",
        "write the face index of a data source",
        "focus index --data faces/ --out index.csv",
    ),
    "prepare": Command(
        "focus.data.prepare:PrepareCommand",
        "focus.data.prepare:prepare_command",
        "crop faces from videos and photographs, with their masks and originals",
        "focus prepare --data cdf --root Celeb-DF-v2 --out faces/cdf",
    ),
    "forge": Command(
        "focus.data.forging:ForgeCommand",
        "focus.data.forging:forge_command",
        "make forgeries with exact masks from real faces",
        "focus forge --data portraits/ --out forged --forgery blend partial",
        moved={"--kind": "--forgery"},
    ),
    "doctor": Command(
        "focus.data.doctor:DoctorCommand",
        "focus.data.doctor:doctor_command",
        "check a dataset for faults before training",
        "focus doctor --data ffpp --root FaceForensics++",
        words="data",
    ),
    "train": Command(
        "focus.training.recipes:TrainCommand",
        "focus.training.command:train_command",
        "train FoCus or another detector",
        "focus train small --data index.csv --out runs/first",
        recipes="focus.training.recipes:RECIPES",
        moved={"--kind": "--model"},
    ),
    "generate": Command(
        "focus.generation:GenerateCommand",
        "focus.generation:generate_command",
        "write manipulation maps of a data source to one file",
        "focus generate --data index.csv --weights runs/first --out focus.h5",
    ),
    "merge": Command(
        "focus.mapstore:MergeCommand",
        "focus.mapstore:merge_command",
        "merge shards into one map file",
        "focus merge part-1.h5 part-2.h5 --out all.h5",
        words="parts",
    ),
    "renormalise": Command(
        "focus.generation:RenormaliseCommand",
        "focus.generation:renormalise_command",
        "normalise stored maps to [0, 1] in another way",
        "focus renormalise focus.h5 --normalise global --out global.h5",
        words="maps",
    ),
    "export": Command(
        "focus.generation:ExportCommand",
        "focus.generation:export_command",
        "export a trained network to ONNX",
        "focus export results/pcl/seed-0 --out pcl.onnx",
        words="weights",
    ),
    "push": Command(
        "focus.pretrained.options:PushCommand",
        "focus.pretrained.command:push_command",
        "upload a trained model to the Hugging Face Hub, with a card",
        "focus push runs/first owner/name --license cc-by-nc-4.0",
        words="words",
    ),
    "info": Command(
        "focus.mapstore:InfoCommand",
        "focus.mapstore:info_command",
        "summarise a map file",
        "focus info focus.h5",
        words="maps",
    ),
    "view": Command(
        "focus.view:ViewCommand",
        "focus.view:view_command",
        "write a gallery of faces and maps that opens in any browser",
        "focus view focus.h5 --data index.csv --out report.html",
        words="maps",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run ``focus`` and return its exit code."""
    about = "Manipulation maps for face forgery detection, learned from real/fake labels alone."
    return run("focus", about, COMMANDS, arguments)

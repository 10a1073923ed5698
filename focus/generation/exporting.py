"""``focus export``: a trained detector or generator as an ONNX file, for other runtimes."""

from __future__ import annotations

import io
import json
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import torch
from torch import Tensor, nn

from focus.detectors import Trainable
from focus.errors import InputError
from focus.files import replace_file, sha256
from focus.generation.options import ExportCommand
from focus.runs import load_network, read_run

OPSET = 18


class Face(nn.Module):
    """A network with its standardisation, so that the exported model takes uint8 images."""

    def __init__(self, network: Trainable) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return scores (B,), and maps (B, 1, h, w) if it has any, of uint8 images."""
        scores, maps, _ = self.network.predict(self.network.input_spec.standardise(images))
        return (scores,) if maps is None else (scores, maps)


def export_command(command: ExportCommand) -> None:
    """Run ``focus export``.

    Raises:
        InputError: not a run, missing packages, or an operation that ONNX lacks.
    """
    run = read_run(Path(command.weights))
    network = load_network(run).eval()
    described = {
        "detector": run.kind,
        "settings": json.dumps(dict(run.network), sort_keys=True),
        "weights_sha256": sha256(run.weights),
    }
    export_network(network, command.out, described)
    size = network.input_spec.image_size
    clip = f"{network.input_spec.frames}, " if network.input_spec.frames > 1 else ""
    print(f"{command.out}: {run.kind}, images uint8 (batch, 3, {clip}{size}, {size}), RGB")


def export_network(network: Trainable, path: Path, described: dict[str, str]) -> None:
    """Write a network with a variable batch size.

    Args:
        network: the network, in evaluation mode.
        path: the file.
        described: metadata of the file.

    Raises:
        InputError: missing packages, or an operation of the network that ONNX lacks.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # used by torch.onnx
    except ImportError as error:
        raise InputError(f"{error.name} is missing: pip install 'focus-forgery[onnx]'") from None
    spec = network.input_spec
    length = (spec.frames,) if spec.frames > 1 else ()
    example = torch.zeros(2, 3, *length, spec.image_size, spec.image_size, dtype=torch.uint8)
    names = ["scores", "maps"][: len(Face(network)(example))]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own deprecations
            program = torch.onnx.export(
                Face(network),
                (example,),
                input_names=["images"],
                output_names=names,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=4096)}},
            )
            assert program is not None
            model = program.model_proto
    except Exception as error:  # torch raises many kinds, with pages of advice
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        name = type(network).__name__
        raise InputError(f"{name}: cannot be written as ONNX ({reason})") from None
    if not model.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise InputError(
            f"{type(network).__name__}: its batch size is fixed in ONNX; it may use len() of a "
            "tensor, which is a constant: use .shape[0]"
        )
    onnx.helper.set_model_props(model, described)
    with replace_file(path) as temporary:
        onnx.save(model, temporary)

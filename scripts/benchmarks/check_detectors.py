"""Check every detector at its paper's input size: a few finite steps, their time and peak memory.

Takes two minutes on a large GPU; on a CPU use --names and --small to test the script. Should show
that each detector runs in bf16 with its default configuration. Initial weights are random.
"""

from __future__ import annotations

import argparse
import time

import torch
from accelerate.utils import send_to_device

from focus.detectors import DETECTORS
from plugins.conformance import Subject, plain_config
from plugins.drawn_faces import drawn_faces

STEPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--names", nargs="*", default=[], help="only these detectors")
    parser.add_argument("--small", type=int, default=0, help="image size for a quick test")
    arguments = parser.parse_args()
    print(f"| detector | input | ms a step, batch {arguments.batch}, bf16 | peak GiB | loss |")
    print("|---|---|---|---|---|")
    for name in arguments.names or DETECTORS.names():
        print(describe(name, arguments.device, arguments.batch, arguments.small), flush=True)


def describe(name: str, device: str, batch: int, small: int) -> str:
    """Return a row of the table; the last cell is the loss, or NOT FINITE."""
    detector = DETECTORS.get(name)
    config = plain_config(detector, {"image_size": small} if small else {})
    network = Subject(detector, config).build().to(device).train()
    spec = network.input_spec
    faces = drawn_faces(network, [0, 1] * (batch // 2))
    moved = send_to_device(faces, device)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 1e-4)
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    spent = []
    for _ in range(STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            terms = network.loss(moved.standardised(spec))
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        loss.backward()
        optimizer.step()
        last = float(loss.detach())
        spent.append(time.perf_counter() - start)
    with torch.no_grad(), torch.autocast(torch.device(device).type, torch.bfloat16):
        prediction = network.eval().predict(moved.standardised(spec).images)
    sound = torch.isfinite(prediction.scores).all() and last == last
    size = f"{spec.image_size} px" + (f" x {spec.frames}" if spec.frames > 1 else "")
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if cuda else "-"
    verdict = f"{last:.3f}" if sound else "NOT FINITE"
    return f"| {name} | {size} | {min(spent[1:]) * 1e3:.0f} | {memory} | {verdict} |"


if __name__ == "__main__":
    main()

"""``evaluator check NAME``: check that a detector implements the contract."""

from __future__ import annotations

from evaluator.options import CheckCommand
from focus.config import parse_options, split_options, to_json
from focus.detectors import DETECTORS, config_type
from focus.errors import CheckFailedError, count_of
from plugins.conformance import CHECKS, check_detector


def check_command(command: CheckCommand) -> None:
    """Run ``evaluator check`` and print a line per check.

    Raises:
        InputError: no such detector, or unknown settings.
        CheckFailedError: a check failed.
    """
    detector = DETECTORS.get(command.name)
    given = split_options(command.options)
    config = to_json(parse_options(config_type(detector), given))
    chosen = {name: config[name] for name in given}
    failed = 0
    for finding in check_detector(detector, chosen, command.runtime.seed):
        failed += not finding.passed
        mark = "ok    " if finding.passed else "FAILED"
        print(f"{mark}  {finding.check:20}  {finding.seconds:6.1f} s  {finding.detail}", flush=True)
    if failed:
        raise CheckFailedError(
            f"{command.name}: {failed} of {count_of(len(CHECKS), 'check')} failed"
        )
    print(f"{command.name} implements the contract")

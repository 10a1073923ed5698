"""``focus doctor``: the command and its report."""

from __future__ import annotations

from collections.abc import Iterator

from focus.data.doctor.examining import examine
from focus.data.doctor.findings import SEVERITIES, Examination, Finding
from focus.data.doctor.options import DoctorCommand
from focus.data.index import DuplicateKeyError
from focus.data.loading import count_workers
from focus.data.sources import find_corpus, open_listed
from focus.errors import CheckFailedError, count_of
from focus.output import present


def doctor_command(command: DoctorCommand) -> None:
    """Run ``focus doctor``: print the report, and write it as JSON on request.

    Raises:
        InputError: the faces cannot be opened, or the JSON file cannot be written.
        CheckFailedError: there is a serious fault.
    """
    source = command.source
    examination = _examine(command)
    present(examination.to_json(), describe(examination, source.data), command.json)
    if not examination.is_sound:
        raise CheckFailedError(f"{source.data}: {_count(examination, 'serious')}")


def describe(examination: Examination, name: str) -> str:
    """Return the report: counts, findings by severity, and a one-line verdict."""
    lines = [f"{name}: {_describe_counts(examination)}", *_describe_splits(examination)]
    for severity in SEVERITIES:
        found = [finding for finding in examination.findings if finding.severity == severity]
        if found:
            lines += ["", severity, *(f"  {_describe_finding(finding)}" for finding in found)]
    verdict = "sound" if examination.is_sound else "faulty"
    tally = ", ".join(_count(examination, severity) for severity in SEVERITIES)
    return "\n".join([*lines, "", f"{verdict}: {tally}"])


def _examine(command: DoctorCommand) -> Examination:
    source, quiet = command.source, command.runtime.quiet
    try:
        index, missing = open_listed(source, quiet)
    except DuplicateKeyError as error:
        # An index with duplicate keys cannot be opened, so nothing else can be checked.
        finding = Finding.of("serious", "duplicate keys", "rows with one key", [str(error)])
        return Examination((finding,), {}, {})
    return examine(
        index,
        find_corpus(source, index.root),
        split=source.split,
        some_methods=bool(source.methods),
        missing=missing,
        quick=command.quick,
        workers=count_workers(command.workers),
        quiet=quiet,
    )


# Text


def _describe_counts(examination: Examination) -> str:
    if not examination.counts:
        return "not read"
    labels = examination.counts["labels"]
    parts = ", ".join(f"{count:,} {name}" for name, count in labels.items() if count)
    sizes = examination.facts["sizes"]
    size = f"; {next(iter(sizes))} pixels" if len(sizes) == 1 else ""
    return f"{count_of(examination.counts['faces'], 'face')} ({parts}){size}"


def _describe_splits(examination: Examination) -> Iterator[str]:
    for split, labels in examination.counts.get("splits", {}).items():
        if split != "none":
            parts = ", ".join(f"{count:,} {name}" for name, count in labels.items() if count)
            yield f"  {split:5}  {parts}"


def _describe_finding(finding: Finding) -> str:
    examples = "; ".join(_show(example) for example in finding.examples)
    more = "; ..." if finding.count > len(finding.examples) else ""
    line = f"{finding.count:7,}  {finding.message}"
    return f"{line}: {examples}{more}" if examples else line


def _show(text: str) -> str:
    """Replace unprintable characters: file names may contain terminal escapes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _count(examination: Examination, severity: str) -> str:
    count = examination.count(severity)  # type: ignore[arg-type]
    name = {"serious": "serious fault"}.get(severity, severity)
    return f"{count} {name}{'' if count == 1 else 's'}"

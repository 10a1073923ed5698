"""Words beside the result: the model, what it says, and what it cannot say."""

from __future__ import annotations

import re

from focus.model.verdicts import NO_SIGN, SIGNS, UNSURE
from focus.released.contents import ReleasedModel

DISCLAIMER = (
    "No verdict is proof. The model may miss manipulations that it was not trained on, and faces "
    "that are synthetic as a whole; and it may mark an untouched face."
)


def describe_model(model: ReleasedModel) -> str:
    """Return the model's name, training data and verdicts in Markdown."""
    data = model.trained_on or "data that are not recorded"
    lines = [f"**{_plain(model.name)}**, trained on {_plain(data)}."]
    found = model.calibration
    if found is None:
        lines.append(
            "It is not calibrated: its scores are not probabilities, and it gives no verdict."
        )
        return "\n\n".join(lines)
    lines.append(
        f"* P(fake) below {found.low:.3g}: {NO_SIGN}\n"
        f"* from {found.high:.3g} on: {SIGNS}\n"
        f"* between: {UNSURE}"
    )
    return "\n\n".join(lines)


def describe_limits(model: ReleasedModel) -> str:
    """Return what the model cannot say in Markdown."""
    side = f"under {model.limits.side:.0f} pixels" if model.limits.side else "small"
    return (
        f"{DISCLAIMER}\n\n"
        f"The answer is *{UNSURE}* where a face is {side}, blurred, dark, turned sideways, without "
        "colour, drawn, or unlike the images that the model was trained on."
    )


def describe_privacy(is_loopback: bool, limit: int) -> str:
    """Return where a file goes."""
    where = "this machine" if is_loopback else "the machine that serves this page"
    return f"Up to {limit:,} MB. Files stay on {where} and are deleted when the result is shown."


def plain_card(model: ReleasedModel) -> str:
    """Return the model card without its title and its links, which lead nowhere here."""
    card = re.sub(r"\A\s*# .*\n", "", model.card)
    return re.sub(r"(?<!!)\[([^\]]+)\]\([^)]*\)", r"\1", card).strip()


def _plain(text: str) -> str:
    """Return text that Markdown and HTML show as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|&])", r"\\\1", " ".join(text.split()))

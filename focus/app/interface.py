"""The Gradio page: a field for a file, the report, and the model beside it.

The report is the page of ``focus look`` in a frame, so that both are the same. A policy header lets
the browser ask no other host for anything, whatever Gradio's pages name.
"""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from focus.app.about import describe_limits, describe_model, describe_privacy, plain_card
from focus.app.examining import Report, examine_file
from focus.errors import InputError
from focus.model.faces import FaceModel

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; object-src 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_FONTS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
]
_CODE_FONTS = ["ui-monospace", "Menlo", "Consolas", "monospace"]
WAITING = '<div class="waiting"><p>The faces, verdicts and maps of your file appear here.</p></div>'

Application = Callable[[Any, Any, Any], Awaitable[None]]


class PolicyHeader:
    """ASGI middleware that adds the content security policy to every response."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and the header with its response."""

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    *message.get("headers", []),
                    (b"content-security-policy", POLICY.encode()),
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_policy)


def build_interface(gradio: Any, model: FaceModel, limit: int, is_loopback: bool) -> Any:
    """Return the page as Gradio blocks.

    Args:
        gradio: the package; it is optional, so that the command imports it.
        model: the model.
        limit: largest file in MB.
        is_loopback: whether only this machine can open the page.
    """

    def examine(path: str | None, progress: Any = gradio.Progress()) -> tuple[str, None]:  # noqa: B008
        def advance(share: float, text: str) -> None:
            progress(share, desc=text)

        return examine_upload(model, path, limit, advance), None

    with gradio.Blocks(
        title="FoCus: photographs and clips",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(60, 600),
    ) as blocks:
        gradio.HTML("<h1>FoCus: look at a photograph or a clip</h1>", elem_id="head")
        with gradio.Row(elem_id="columns"):
            with gradio.Column(elem_id="pick"):
                file = gradio.File(
                    label="Photograph or clip: drop, paste or click", height=170, elem_id="upload"
                )
                gradio.Markdown(describe_privacy(is_loopback, limit), elem_classes="quiet")
            with gradio.Column(elem_id="main"):
                gradio.HTML(
                    f'<p class="error" role="alert" data-limit="{limit}"></p>', elem_id="refused"
                )
                result = gradio.HTML(WAITING, elem_id="result")
            with gradio.Column(elem_id="about"):
                gradio.Markdown(f"## The model\n\n{describe_model(model.record)}")
                gradio.Markdown(f"## What it cannot say\n\n{describe_limits(model.record)}")
                if card := plain_card(model.record):
                    with gradio.Accordion("Model card", open=False):
                        gradio.Markdown(card, elem_id="card")
        file.upload(
            examine, file, [result, file], show_progress_on=result, api_visibility="private"
        )
    return blocks


def appearance(gradio: Any) -> dict[str, Any]:
    """Return theme, styles and scripts of the page: local fonts, nothing from the network."""
    home = files("focus.app")
    script = home.joinpath("app.js").read_text("utf-8")
    return {
        "theme": gradio.themes.Base(font=_FONTS, font_mono=_CODE_FONTS),
        "css": home.joinpath("app.css").read_text("utf-8"),
        "head": f"<script>{script}</script>",
    }


def examine_upload(
    model: FaceModel, path: str | None, limit: int, advance: Callable[[float, str], None]
) -> str:
    """Return the result of an upload as HTML: the report, or an error in a line.

    The file is deleted in either case.

    Args:
        model: the model.
        path: the uploaded file; None: no file.
        limit: largest size in MB.
        advance: shows the progress.
    """
    if path is None:
        return WAITING
    try:
        return frame_report(examine_file(model, Path(path), limit, advance))
    except InputError as error:
        return f'<p class="error" role="alert">{html.escape(str(error))}</p>'
    finally:
        Path(path).unlink(missing_ok=True)


def frame_report(report: Report) -> str:
    """Return the report in a frame, below a line with its download."""
    name = html.escape(report.name)
    return (
        f'<p class="done"><span role="status">Done: {html.escape(report.verdict)}.</span> '
        f'<button type="button" class="download" data-name="{name}" '
        'onclick="focusDownload(this)">Download the report</button></p>'
        f'<iframe class="report" title="Report: {name}" onload="focusFit(this)" '
        f'srcdoc="{html.escape(report.html)}"></iframe>'
    )

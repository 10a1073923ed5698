"""``focus app``: load the model, serve the page, and leave nothing behind."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from focus.app.interface import PolicyHeader, appearance, build_interface
from focus.app.options import LOOPBACK, AppCommand
from focus.errors import InputError
from focus.model.clips import single_threads
from focus.model.faces import load
from focus.runtime import note

_ADVICE = 'focus app needs Gradio: pip install "focus-forgery[app]"'


def app_command(command: AppCommand) -> None:
    """Run ``focus app`` until Ctrl-C.

    Raises:
        InputError: Gradio is missing, no model, or an address that cannot be listened on.
    """
    with _private_folder():
        gradio = import_gradio()
        _check_address(command.host, command.port)
        with single_threads():  # building a network runs it, too
            model = load(
                command.weights or None,
                crop=command.crop,
                face_detector=command.face_detector,
                device=command.device,
            )
        is_loopback = command.host in LOOPBACK
        blocks = build_interface(gradio, model, command.limit, is_loopback)
        address = _serve(gradio, blocks, command)
        print(f"page: {address} (Ctrl-C ends it)", flush=True)
        if not is_loopback:
            print(f"--host {command.host}: everybody who reaches this machine can open it")
        if command.open and not webbrowser.open(address):
            note(f"no browser found: open {address}", command.quiet)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            note("closed; nothing is kept", command.quiet)
        finally:
            blocks.close(verbose=False)


def import_gradio() -> Any:
    """Import Gradio, without its telemetry.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError as error:
        reason = "" if error.name == "gradio" else f" ({error})"
        raise InputError(f"{_ADVICE}{reason}") from None
    return gradio


@contextmanager
def _private_folder() -> Iterator[None]:
    """Give uploads and temporary files a folder of this process, removed at the end."""
    before = {name: os.environ.get(name) for name in ("GRADIO_TEMP_DIR", "TMPDIR")}
    with tempfile.TemporaryDirectory(prefix="focus-app-") as folder:
        os.environ |= dict.fromkeys(before, folder)
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = None
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _check_address(host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(found[0], socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(found[4])
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--host {host} --port {port}: {reason}; choose another") from None


def _serve(gradio: Any, blocks: Any, command: AppCommand) -> str:
    """Start the server in a thread; return its address."""
    from starlette.middleware import Middleware  # a dependency of Gradio

    blocks.queue(api_open=False, max_size=16)
    _, address, _ = blocks.launch(
        server_name=command.host,
        server_port=command.port,
        prevent_thread_lock=True,
        share=False,
        quiet=True,
        ssr_mode=False,
        run_history=False,
        mcp_server=False,
        footer_links=[],
        enable_monitoring=False,
        max_file_size=f"{command.limit}mb",
        app_kwargs={"middleware": [Middleware(PolicyHeader)], "docs_url": None, "redoc_url": None},
        **appearance(gradio),
    )
    return str(address)

"""Start the workbench: `python app.py`, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import gc
import os
import socket
import sys
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="fashion", help="bundled name, folder, or hub id")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where captures are kept")
    parser.add_argument("--demo", action="store_true", help="limits for a page strangers use")
    return parser.parse_args()


def check_port(host: str, port: int) -> None:
    """Exit with one sentence if the address cannot be listened on."""
    try:
        family = socket.getaddrinfo(host, port)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        fail(f"cannot listen on {host}:{port} ({error}); choose another with --port.")


def fail(sentence: str) -> None:
    """Say what was wrong and end."""
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def main() -> None:
    """Build the page and serve it."""
    args = arguments()
    check_port(args.host, args.port)
    gc.disable()  # collecting garbage is a fifth of the time that starting takes
    from analysis.errors import UserError
    from workbench.stubs import without_stubs

    with without_stubs():
        from workbench.serve import serve

    try:
        serve(args.model, args.host, args.port, args.runs, args.demo)
    except UserError as error:
        fail(str(error))


if __name__ == "__main__":
    main()

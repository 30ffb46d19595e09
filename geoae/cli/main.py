"""The command line: arguments -> one job -> a printed summary. No arithmetic here, nothing heavy until it is needed."""

import os
import signal
import sys

from geoae.cli import codes, denoise, inspect, train
from geoae.cli.app import app
from geoae.cli.console import stop

# in the order of `geoae --help`
for command in (
    denoise.denoise, inspect.info, inspect.models, inspect.status,
    train.train, train.evaluate, codes.encode, codes.decode,
):  # fmt: skip
    app.command()(command)


def main() -> None:
    """Entry point of the `geoae` command."""
    # waiting threads that spin make a second busy process up to 16 times slower; must be set before torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; ours take whole windows
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - stays open as long as the process
        getattr(sys, name).reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        app()
    except KeyboardInterrupt:  # before there was anything to clean up
        raise SystemExit(130) from None

"""The command `crystalgnn`: thin, one function per command."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path  # noqa: TC003  typer evaluates annotations
from typing import Annotated

import typer

from crystalgnn_core.errors import CrystalGNNError, InputError
from deployments import (
    evaluate_command,
    models,
    pipeline_commands,
    predict_command,
    records_command,
    store_commands,
)
from deployments.processes import led
from deployments.tables import show_error, show_line
from deployments.usage import UsageError, describe_usage, refuse_repeated_options

USER_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Screen inorganic crystals with graph neural networks.",
)
pipeline_commands.register(app)
predict_command.register(app)
app.command()(evaluate_command.evaluate)
app.add_typer(models.app, name="models")
app.add_typer(records_command.app, name="records")
app.add_typer(store_commands.app, name="store")


@app.command()
def doctor(
    store: Annotated[Path | None, typer.Option("--store", help="Store to look at.")] = None,
) -> None:
    """Check versions, pins, the device, the Prefect settings and a store."""
    from deployments.doctor import examine

    if not examine(store):
        raise typer.Exit(1)


def _show_version(*, is_asked: bool) -> None:
    if is_asked:
        show_line(f"crystalgnn {version('crystalgnn')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=lambda asked: _show_version(is_asked=asked),
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Screen inorganic crystals with graph neural networks."""


refuse_repeated_options(app, models.app, records_command.app, store_commands.app)


def main() -> None:
    """Run the command line; a user error is one line and exit code 2.

    Of the processes that torchrun has started the first one runs the command.
    """
    try:
        code = led(lambda: app(prog_name="crystalgnn", standalone_mode=False))
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code or 0)
    except UsageError as error:
        if not error.format_message() or "\n" in error.format_message():
            error.show()  # the help of a command without arguments
        else:
            show_error(describe_usage(error))
        sys.exit(USER_ERROR)
    except InputError as error:
        show_error(str(error))
        sys.exit(USER_ERROR)
    except CrystalGNNError as error:
        show_error(f"{error} [{type(error).__name__}]")
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # not about a file: a bug, or a network that is down
            raise
        show_error(f"{error.filename}: {error.strerror}")
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        show_error("interrupted; the next run continues where this one stopped")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

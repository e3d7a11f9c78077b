"""Wrong options, arguments and commands in one line, with the name that was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from crystalgnn_core.wording import did_you_mean, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# of click, or of the copy of it that newer releases of typer hold
UsageError: Any = typer.BadParameter.__mro__[1]


class OnceCommand(TyperCommand):
    """Refuses an option of one value that is given twice, of which the last would stand."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  of click or typer
        """Parse as typer does, and count the options."""
        order: list[Any] = self.make_parser(ctx).parse_args(list(args))[2]
        for option in order:
            takes_one = option.param_type_name == "option" and not (
                option.multiple or option.is_flag or option.count
            )
            if takes_one and order.count(option) > 1:
                name = option.opts[0]
                raise UsageError(f"Option {name} is given twice; it takes one value", ctx)
        return super().parse_args(ctx, args)


def refuse_repeated_options(*apps: typer.Typer) -> None:
    """Make the commands of some groups refuse an option that is given twice."""
    for app in apps:
        for command in app.registered_commands:
            command.cls = OnceCommand


def describe_usage(error: Any) -> str:  # noqa: ANN401  of click or typer
    """Say what is wrong with a call, what was meant, and which help to read."""
    context = error.ctx
    message = error.format_message().partition(". Did you mean")[0].rstrip(".")
    message = message.partition(" (Possible options")[0]
    if ": " in message:  # of a value: the validating library's words
        what, _, said = message.partition(": ")
        message = f"{what}: {plain_words(said)}"
    command = "crystalgnn" if context is None else context.command_path
    meant = "" if context is None else _meant(error, message, context)
    return f"{message[:1].lower()}{message[1:]}{meant}; see `{command} --help`"


def _meant(error: Any, message: str, context: Any) -> str:  # noqa: ANN401  of click or typer
    """Suggest an option or a command of this level, or a command of a group."""
    if name := getattr(error, "option_name", None):
        options = [opt for option in context.command.params for opt in option.opts]
        return did_you_mean(name, (opt for opt in options if opt.startswith("--")))
    commands: Mapping[str, Any] = getattr(context.command, "commands", {})
    if not (message.startswith("No such command") and commands):
        return ""
    name = message.partition("'")[2].partition("'")[0]
    deeper = [f"{group} {name}" for group in _groups_with(name, commands)]
    if deeper:
        return f"; did you mean {' or '.join(deeper)}?"
    return did_you_mean(name, commands)


def _groups_with(name: str, commands: Mapping[str, Any]) -> Iterable[str]:
    return (
        group for group, one in commands.items() if name in getattr(one, "commands", {})
    )

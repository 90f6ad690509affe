"""`longctx completions`: the script that teaches a shell to complete longctx's words."""

from enum import StrEnum
from typing import Annotated

import typer


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completions(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Write a completion script for your shell.

    longctx completions bash >> ~/.bashrc
    """
    from typer._completion_shared import get_completion_script

    typer.echo(get_completion_script(prog_name="longctx", complete_var="_LONGCTX_COMPLETE", shell=shell.value))

"""The options that say who answers and how, and which conversation goes on; worded once for `ask` and `chat`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from longctx.commands.machine import named_engine
from longctx.commands.options import Chosen

if TYPE_CHECKING:
    from longctx.analysis import Asking
    from longctx.settings import Settings

ENGINE, SESSION = "Engine", "Session"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Who answers, how much of the corpus it is sent, and how it draws its words."""

    engine: Annotated[
        str | None,
        typer.Option(
            "-e",
            "--engine",
            metavar="NAME",
            help="evidence, scout, vllm, openai, scripted, a plugin, or auto; see longctx engine list.",
            rich_help_panel=ENGINE,
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", metavar="DIR|NAME", help="A model's folder or name.", rich_help_panel=ENGINE),
    ] = None
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An OpenAI-compatible server, as http://…/v1.", rich_help_panel=ENGINE),
    ] = None
    timeout: Annotated[
        int | None, typer.Option(metavar="S", min=1, help="Longest silence of a server.", rich_help_panel=ENGINE)
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            metavar="TOKENS", help="What fits the model (128k), where it does not say.", rich_help_panel=ENGINE
        ),
    ] = None
    mode: Annotated[
        str | None,
        typer.Option(metavar="auto|full|focus", help="Send all, what fits, or what can be.", rich_help_panel=ENGINE),
    ] = None
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer.", rich_help_panel=ENGINE)] = None
    temperature: Annotated[
        float | None, typer.Option(min=0, max=100, help="0 takes the likeliest words.", rich_help_panel=ENGINE)
    ] = None
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="The same seed draws the same.", rich_help_panel=ENGINE)
    ] = None
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither use nor keep stored prefixes.", rich_help_panel=ENGINE)
    ] = False

    def settings(self, chosen: Chosen) -> "Settings":
        """The settings in force with what was typed above all."""
        return chosen.settings(
            engine=named_engine(self.engine, self.base_url),
            model=self.model,
            base_url=self.base_url,
            timeout_s=self.timeout,
            context=self.context,
            mode=self.mode,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
        )

    def asking(self, configured: "Settings", quotes: int) -> "Asking":
        """How questions are asked."""
        from longctx.analysis import Asking

        return Asking(
            mode=configured.mode,
            max_tokens=configured.max_tokens,
            temperature=configured.temperature,
            seed=self.seed,
            quotes=quotes,
            max_tokens_set="max_tokens" in configured.origins,
        )


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Which conversation goes on, and whether this one is kept."""

    go_on: Annotated[
        bool,
        typer.Option(
            "-c", "--continue", help="Go on with the last session (of these sources).", rich_help_panel=SESSION
        ),
    ] = False
    resume: Annotated[
        str | None,
        typer.Option("-r", "--resume", metavar="ID", help="Go on with this session.", rich_help_panel=SESSION),
    ] = None
    no_log: Annotated[bool, typer.Option("--no-log", help="Keep no session.", rich_help_panel=SESSION)] = False
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Name the session.", rich_help_panel=SESSION)] = None

    @property
    def resumes(self) -> bool:
        """Whether an earlier session goes on."""
        return self.go_on or self.resume is not None

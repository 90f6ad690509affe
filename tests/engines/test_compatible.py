"""The engine over HTTP against a real server that answers well."""

import gc
import json
import threading
import time
from array import array
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from longctx.completion import chat_ids, stop_ids
from longctx.engines.base import (
    EngineEvent,
    Finish,
    Finished,
    Identity,
    Prefilled,
    Prompt,
    Sampling,
    Text,
    Token,
    Warned,
    contiguous,
)
from longctx.engines.compatible import CompatibleEngine
from longctx.engines.opening import EngineSetup, open_engine
from longctx.errors import DoesNotFit, EngineError
from longctx.rendering import ZERO_WIDTH
from longctx.vocabulary import END_OF_TURN, HEADER_START, llama4
from tests.engines.faulty_server import (
    FaultyServer,
    Route,
    events,
    falls_silent,
    given,
    in_turn,
    lists,
    never_ends,
    said,
    says,
    sends,
    tokenizes,
    usage,
)

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
ANSWER = sends(events(said("It is "), said("38 m."), said("", "stop"), usage(40)))
SPECIALS = {"<|header_start|>": HEADER_START, "<|eot|>": END_OF_TURN}


def prompt(text: str = "How high is the lighthouse?") -> Prompt:
    return contiguous(chat_ids(text, llama4()))


def sampling(**values: Any) -> Sampling:
    return Sampling(max_tokens=16, stop_ids=stop_ids(llama4()), **values)


def setup(server: FaultyServer, **values: Any) -> EngineSetup:
    named: dict[str, Any] = {"base_url": server.root, "timeout_s": 10.0} | values
    return EngineSetup(logs=Path("/nowhere"), **named)


def run(
    routes: Mapping[str, Route], asked: Prompt | None = None, **values: Any
) -> tuple[list[EngineEvent], FaultyServer]:
    """The events of one prompt, and the server with what it was asked."""
    with FaultyServer({"/v1/models": lists()} | dict(routes)) as server, open_engine("openai", setup(server)) as engine:
        return list(engine.generate(asked or prompt(), sampling(**values))), server


def text(found: list[EngineEvent]) -> str:
    return "".join(event.text for event in found if isinstance(event, Text))


def finished(found: list[EngineEvent]) -> Finished:
    assert isinstance(found[-1], Finished)
    return found[-1]


def warnings(found: list[EngineEvent]) -> list[str]:
    return [event.message for event in found if isinstance(event, Warned)]


def takes_ids(owner: str, answer: Route, **facts: Any) -> dict[str, Route]:
    field_name = "content" if owner == "llamacpp" else "prompt"
    return {
        "/v1/models": lists(owner, **facts),
        "/tokenize": tokenizes(SPECIALS, field_name),
        COMPLETION: answer,
    }


class TestText:
    def test_a_chat_is_answered(self) -> None:
        found, server = run({CHAT: ANSWER}, temperature=0.5, top_p=0.9, seed=7)
        assert text(found) == "It is 38 m."
        end = finished(found)
        assert (end.reason, end.prompt_tokens, end.cached_tokens, end.answer_tokens) == (Finish.STOP, 40, None, 2)
        assert end.not_reported
        (body,) = server.bodies(CHAT)
        assert body["messages"] == [{"role": "user", "content": "How high is the lighthouse?"}]
        assert (body["temperature"], body["top_p"], body["seed"], body["max_tokens"]) == (0.5, 0.9, 7, 16)
        assert body["model"] == "tiny"

    def test_spellings_of_control_tokens_go_out_broken(self) -> None:
        _, server = run({CHAT: ANSWER}, prompt("say <|eot|> and [INST]"))
        assert server.bodies(CHAT)[0]["messages"][0]["content"] == f"say <{ZERO_WIDTH}|eot|> and [{ZERO_WIDTH}INST]"

    def test_a_server_without_chat_gets_one_text(self) -> None:
        answer = sends(events({"choices": [{"text": "38 m", "finish_reason": "stop"}]}, usage(40)))
        found, server = run({COMPLETION: answer})
        assert text(found) == "38 m"
        assert any("one text" in message for message in warnings(found))
        assert server.bodies(COMPLETION)[0]["prompt"] == "User: How high is the lighthouse?\n\nAssistant:"

    def test_a_server_that_streams_nothing(self) -> None:
        whole = usage(40) | {"choices": [{"message": {"content": "38 m"}, "finish_reason": "stop"}]}
        found, _ = run({CHAT: says(whole)})
        assert text(found) == "38 m"
        assert finished(found).prompt_tokens == 40

    def test_reasoning_is_no_answer(self) -> None:
        thought = {"choices": [{"delta": {"reasoning_content": "hmm"}}]}
        found, _ = run({CHAT: sends(events(thought, thought, said("38 m", "stop"), usage(40)))})
        assert text(found) == "38 m"
        assert len([message for message in warnings(found) if "reasoning" in message]) == 1

    def test_no_usage_is_said(self) -> None:
        found, _ = run({CHAT: sends(events(said("38 m", "stop")))})
        assert any("does not report how many tokens it read" in message for message in warnings(found))
        assert finished(found).prompt_tokens == len(prompt().ids)

    def test_a_field_that_is_refused_is_left_out_and_said(self) -> None:
        refusal = says({"error": {"message": "Unsupported parameter: 'seed'"}}, 400)
        renamed = says({"error": {"message": "Use 'max_completion_tokens' instead of 'max_tokens'"}}, 400)
        found, server = run({CHAT: in_turn(refusal, renamed, ANSWER)}, seed=1, temperature=0.5)
        assert text(found) == "It is 38 m."
        assert any("'seed'" in message for message in warnings(found))
        last = server.bodies(CHAT)[-1]
        assert "seed" not in last
        assert "max_tokens" not in last
        assert last["max_completion_tokens"] == 16

    def test_a_busy_server_is_asked_again(self) -> None:
        busy = says({"error": "slow down"}, 429, Retry_After="0")
        found, server = run({CHAT: in_turn(busy, busy, ANSWER)})
        assert text(found) == "It is 38 m."
        assert len(server.bodies(CHAT)) == 3
        assert len([message for message in warnings(found) if "429" in message]) == 2

    def test_what_fails_behind_the_end_takes_nothing_away(self) -> None:
        found, _ = run({CHAT: sends(events(said("38 m", "stop"), usage(40), done=False) + b"data: {bro")})
        assert text(found) == "38 m"
        assert finished(found).reason is Finish.STOP

    @pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
    def test_events_with_any_line_ends_comments_and_cuts(self, ends: bytes) -> None:
        stream = (b": keep-alive\n\n" + events(said("Höhe 潮"), said("!", "stop"), usage(40))).replace(b"\n", ends)

        def route(handler: Any, asked: Any) -> None:
            handler.begin(200, "text/event-stream; charset=utf-8")
            for at in range(0, len(stream), 7):
                handler.write(stream[at : at + 7])

        found, _ = run({CHAT: route})
        assert text(found) == "Höhe 潮!"

    def test_half_a_character_can_be_printed(self) -> None:
        found, _ = run({CHAT: sends(events(said("a\ud83d", "stop"), usage(40)))})
        assert text(found) == "a\ufffd"


SCHEMA = '{"type":"object","properties":{"answer":{"type":"number"}}}'
GUIDES = {"response_format", "structured_outputs", "guided_json", "json_schema"}


class TestSchema:
    @pytest.mark.parametrize(
        ("owner", "version", "field", "holds"),
        [
            ("vllm", "0.32.0", "structured_outputs", {"json": json.loads(SCHEMA)}),
            ("vllm", "", "structured_outputs", {"json": json.loads(SCHEMA)}),
            ("vllm", "0.9.2", "guided_json", json.loads(SCHEMA)),
            ("sglang", "", "json_schema", SCHEMA),
            ("llamacpp", "", "json_schema", json.loads(SCHEMA)),
        ],
    )
    def test_a_server_of_ids_is_told_in_its_own_way(self, owner: str, version: str, field: str, holds: Any) -> None:
        routes = takes_ids(owner, sends(events(said("{}", "stop"), usage(len(prompt().ids)))))
        _, server = run(routes | {"/version": says({"version": version})}, schema=SCHEMA)
        (body,) = server.bodies(COMPLETION)
        assert body[field] == holds
        assert GUIDES & body.keys() == {field}

    def test_a_chat_is_told_as_openai_is(self) -> None:
        _, server = run({CHAT: ANSWER}, schema=SCHEMA)
        (body,) = server.bodies(CHAT)
        form = {"name": "answer", "schema": json.loads(SCHEMA), "strict": True}
        assert body["response_format"] == {"type": "json_schema", "json_schema": form}

    @pytest.mark.parametrize("owner", ["longctx", "somebody"])
    def test_nothing_is_told_where_nothing_was_asked_for_or_there_is_none(self, owner: str) -> None:
        routes = takes_ids(owner, sends(events(given([5], "stop"), usage(len(prompt().ids))))) | {CHAT: ANSWER}
        _, server = run(routes, schema=SCHEMA if owner == "longctx" else "")
        (body,) = server.bodies(COMPLETION) + server.bodies(CHAT)
        assert not GUIDES & body.keys()

    @pytest.mark.parametrize(
        "refusal",
        [
            "Invalid schema for response_format 'answer': 'additionalProperties' is required",
            "This model does not support response format `json_schema`.",
            "The grammar could not be compiled",
        ],
    )
    def test_a_server_that_refuses_it_answers_without(self, refusal: str) -> None:
        refuses = says({"error": {"message": refusal}}, 400)
        found, server = run({CHAT: in_turn(refuses, refuses, ANSWER)}, schema=SCHEMA)
        assert text(found) == "It is 38 m."
        assert [message for message in warnings(found) if "only checked" in message] == warnings(found)
        first, second, third = server.bodies(CHAT)
        assert first["response_format"]["json_schema"]["strict"] is True
        assert second["response_format"]["json_schema"]["strict"] is False
        assert "response_format" not in third

    def test_a_name_in_the_schema_is_no_field_of_the_request(self) -> None:
        said = (
            "Invalid schema for response_format 'answer': In context=('properties', 'temperature'), 'type' is missing"
        )
        refuses = says({"error": {"message": said}}, 400)
        found, server = run({CHAT: in_turn(refuses, ANSWER)}, schema=SCHEMA)
        first, second = server.bodies(CHAT)
        assert first["temperature"] == second["temperature"]
        assert second["response_format"]["json_schema"]["strict"] is False
        assert (text(found), warnings(found)) == ("It is 38 m.", [])

    def test_a_field_that_is_refused_with_the_whole_request_shown_leaves_the_schema(self) -> None:
        said = "unknown field temperature in {'temperature': 0, 'response_format': {'type': 'json_schema'}}"
        refuses = says({"error": {"message": said}}, 400)
        found, server = run({CHAT: in_turn(refuses, ANSWER)}, schema=SCHEMA)
        first, second = server.bodies(CHAT)
        assert first.keys() - second.keys() == {"temperature"}
        assert ["'temperature'" in message for message in warnings(found)] == [True]

    def test_a_refusal_of_something_else_stays_one(self) -> None:
        with pytest.raises(EngineError, match="no such thing"):
            run({CHAT: says({"error": {"message": "no such thing"}}, 400)}, schema=SCHEMA)

    def test_what_is_known_of_a_server_is_said(self) -> None:
        routes = {"/v1/models": lists("vllm")}
        with FaultyServer(routes) as server, open_engine("openai", setup(server)) as engine:
            assert (engine.limits().concurrent, engine.limits().is_guided) == (8, True)
        with FaultyServer({"/v1/models": lists()}) as server, open_engine("openai", setup(server)) as engine:
            assert (engine.limits().concurrent, engine.limits().is_guided) == (1, False)


class TestTogether:
    def test_threads_get_their_own_answers(self) -> None:
        """None is answered before all have been asked: they are on their way at once."""
        names = [f"name{n}" for n in range(8)]
        all_there = threading.Barrier(len(names), timeout=20)

        def route(handler: Any, asked: Any) -> None:
            all_there.wait()
            name = asked.body["messages"][0]["content"].split()[-1]
            sends(events(said(f"I am {name}, "), said("really", "stop"), usage(10)))(handler, asked)

        def ask(name: str) -> str:
            return text(list(engine.generate(prompt(f"you are {name}"), sampling())))

        with (
            FaultyServer({"/v1/models": lists(), CHAT: route}) as server,
            open_engine("openai", setup(server)) as engine,
            ThreadPoolExecutor(len(names)) as pool,
        ):
            assert list(pool.map(ask, names)) == [f"I am {name}, really" for name in names]

    def test_one_that_is_left_takes_nothing_from_another(self) -> None:
        go_on = threading.Event()

        def route(handler: Any, asked: Any) -> None:
            handler.begin(200, "text/event-stream")
            handler.write(events(said("first "), done=False))
            go_on.wait(20)
            handler.write(events(said("second", "stop"), usage(10)))

        with (
            FaultyServer({"/v1/models": lists(), CHAT: route}) as server,
            open_engine("openai", setup(server)) as engine,
        ):
            left, kept = (engine.generate(prompt(), sampling()) for _ in range(2))
            assert next(left) == next(kept) == Text("first ")
            left.close()  # type: ignore[attr-defined] # it is a generator
            go_on.set()
            assert text(list(kept)) == "second"

    def test_closing_ends_what_all_threads_wait_for(self) -> None:
        waiting = threading.Barrier(4, timeout=20)

        def ask() -> None:
            run = engine.generate(prompt(), sampling())
            next(run)
            waiting.wait()
            list(run)

        silent = threading.Event()
        stream = events(said("first "), done=False)
        with (
            FaultyServer({"/v1/models": lists(), CHAT: falls_silent(stream, silent)}) as server,
            open_engine("openai", setup(server, timeout_s=60.0)) as engine,
            ThreadPoolExecutor(3) as pool,
        ):
            asked = [pool.submit(ask) for _ in range(3)]
            waiting.wait()
            engine.close()
            assert all(isinstance(each.exception(timeout=20), EngineError) for each in asked)
            silent.set()


class TestIds:
    def test_ids_go_out_and_come_back_without_the_stop_token(self) -> None:
        answer = sends(events(given([5, 6]), given([7, END_OF_TURN], "stop"), usage(len(prompt().ids), 4, cached=9)))
        found, server = run(takes_ids("longctx", answer))
        assert [event.id for event in found if isinstance(event, Token)] == [5, 6, 7]
        end = finished(found)
        assert (end.answer_tokens, end.cached_tokens, end.not_reported) == (3, 9, "")
        (body,) = server.bodies(COMPLETION)
        assert body["prompt"] == list(prompt().ids)
        assert body["window_starts"] == [0]
        assert body["return_progress"] is True
        assert END_OF_TURN in body["stop_token_ids"]

    def test_several_blocks_of_ids_are_one_list(self) -> None:
        ids = array("I", range(150_000))
        answer = sends(events(given([5], "stop"), usage(len(ids))))
        found, server = run(takes_ids("longctx", answer), contiguous(ids))
        assert server.bodies(COMPLETION)[0]["prompt"] == list(ids)
        assert not warnings(found)

    def test_vllm_names_tokens_in_its_logprobs(self) -> None:
        listed = {
            "choices": [{"text": "??", "logprobs": {"tokens": ["token_id:11", "token_id:12"]}, "finish_reason": "stop"}]
        }
        found, server = run(takes_ids("vllm", sends(events(listed, usage(len(prompt().ids)))), max_model_len=4096))
        assert [event.id for event in found if isinstance(event, Token)] == [11, 12]
        assert "--enable-prompt-tokens-details" in finished(found).not_reported
        assert "return_token_ids" not in server.bodies(COMPLETION)[0]

    def test_a_server_of_ids_that_gives_text(self) -> None:
        answer = {"content": "", "choices": [{"text": "38 m", "finish_reason": "stop"}], "timings": {"cache_n": 8}}
        found, server = run(takes_ids("llamacpp", sends(events(answer, usage(len(prompt().ids))))))
        assert text(found) == "38 m"
        assert finished(found).cached_tokens == 8
        assert server.bodies(COMPLETION)[0]["cache_prompt"] is True

    def test_progress_is_told(self) -> None:
        sent = len(prompt().ids)
        stages = [{"prompt_progress": {"total": sent, "cache": 2, "processed": n, "time_ms": 5}} for n in (4, sent)]
        found, _ = run(takes_ids("llamacpp", sends(events(*stages, given([5], "stop"), usage(sent)))))
        assert found[:2] == [Prefilled(done=4, total=sent, cached=2), Prefilled(done=sent, total=sent, cached=2)]
        assert finished(found).cached_tokens == 2

    def test_progress_that_does_not_rise_or_is_of_no_such_prompt_is_not_told(self) -> None:
        sent = len(prompt().ids)
        told = [(4, sent), (4, sent), (3, sent), (5, 2**50), (sent, sent)]
        stages = [{"prompt_progress": {"total": total, "cache": 0, "processed": done}} for done, total in told]
        found, _ = run(takes_ids("llamacpp", sends(events(*stages, given([5], "stop"), usage(sent)))))
        assert [event.done for event in found if isinstance(event, Prefilled)] == [4, sent]

    @pytest.mark.parametrize("token", [202_048, 300_000, 2**32, 2**52])
    def test_a_token_that_no_vocabulary_has_ends_the_answer(self, token: int) -> None:
        got: list[EngineEvent] = []
        routes = takes_ids("longctx", sends(events(given([5]), given([6, token, 7], "stop"), usage(len(prompt().ids)))))
        raises = pytest.raises(EngineError, match=f"token {token:,} came.*not whole")
        with FaultyServer(routes) as server, open_engine("openai", setup(server)) as engine, raises:
            got.extend(engine.generate(prompt(), sampling()))
        assert got == [Token(5), Token(6)]

    def test_a_token_named_in_logprobs_that_no_vocabulary_has(self) -> None:
        listed = {"choices": [{"text": "??", "logprobs": {"tokens": ["token_id:11", "token_id:9999999999"]}}]}
        with pytest.raises(EngineError, match="token 9,999,999,999 came"):
            run(takes_ids("vllm", sends(events(listed))))

    def test_control_tokens_are_left_out_of_an_answer(self) -> None:
        answer = given([5, HEADER_START, 6, HEADER_START + 1, 201_999, 7, END_OF_TURN], "stop")
        found, _ = run(takes_ids("longctx", sends(events(answer, usage(len(prompt().ids), 7)))))
        assert [event.id for event in found if isinstance(event, Token)] == [5, 6, 7]
        assert [message for message in warnings(found) if "control tokens" in message] == warnings(found)
        assert len(warnings(found)) == 1
        assert finished(found).answer_tokens == 3

    def test_ids_of_a_server_that_gets_text_are_of_another_vocabulary(self) -> None:
        chunk = said("38 m", "stop")
        chunk["choices"][0]["token_ids"] = [5, 300_000]
        found, _ = run({CHAT: sends(events(chunk, usage(40)))})
        assert text(found) == "38 m"
        assert not [event for event in found if isinstance(event, Token)]

    def test_control_tokens_with_other_ids_mean_text(self) -> None:
        routes = takes_ids("vllm", ANSWER) | {"/tokenize": tokenizes({"<|eot|>": 9}), CHAT: ANSWER}
        found, server = run(routes)
        assert text(found) == "It is 38 m."
        assert not server.bodies(COMPLETION)


class TestCounts:
    def test_fewer_tokens_than_ids_were_sent(self) -> None:
        got: list[EngineEvent] = []
        routes = takes_ids("vllm", sends(events(given([5], "stop"), usage(7))))
        raises = pytest.raises(DoesNotFit, match=rf"only 7 of {len(prompt().ids)} tokens")
        with FaultyServer(routes) as server, open_engine("openai", setup(server)) as engine, raises:
            got.extend(engine.generate(prompt(), sampling()))
        assert got == [Token(5)]

    def test_progress_over_fewer_tokens_is_not_waited_for(self) -> None:
        stage = {"prompt_progress": {"total": 4, "cache": 0, "processed": 1}}
        with pytest.raises(DoesNotFit, match="only 4 of"):
            run(takes_ids("longctx", never_ends(events(stage, done=False))))

    def test_more_cached_tokens_than_the_prompt_has(self) -> None:
        found, _ = run({CHAT: sends(events(said("38", "stop"), usage(40, cached=99_999_999)))})
        assert (finished(found).prompt_tokens, finished(found).cached_tokens) == (40, 40)

    def test_more_tokens_of_answer_than_were_asked_for(self) -> None:
        found, _ = run({CHAT: sends(events(said("It is "), said("38 m", "stop"), usage(40, 2**52)))})
        assert finished(found).answer_tokens == 2

    @pytest.mark.parametrize("owner", ["somebody", "vllm"])
    def test_a_count_that_can_not_be_is_not_believed(self, owner: str) -> None:
        answer = sends(events(said("38", "stop"), usage(2**53 - 1, cached=2**53 - 1)))
        found, _ = run(takes_ids(owner, answer) | {CHAT: answer})
        ours = len(prompt().ids)
        assert (finished(found).prompt_tokens, finished(found).cached_tokens) == (ours, ours)
        assert any("which can't be" in message for message in warnings(found))

    def test_a_count_below_nothing_is_none(self) -> None:
        found, _ = run({CHAT: sends(events(said("38", "stop"), usage(-5, -7, cached=-1)))})
        end = finished(found)
        assert (end.prompt_tokens, end.cached_tokens, end.answer_tokens) == (len(prompt().ids), None, 1)
        assert any("does not report" in message for message in warnings(found))

    def test_ollama_is_named_with_its_switch(self) -> None:
        routes = {"/v1/models": lists("library"), CHAT: sends(events(said("38", "stop"), usage(5)))}
        with pytest.raises(DoesNotFit, match="only 5 tokens") as caught:
            run(routes, prompt("tide " * 600))
        assert "OLLAMA_CONTEXT_LENGTH" in caught.value.hint

    def test_a_count_somewhat_lower_is_only_doubted(self) -> None:
        asked = prompt("tide " * 600)
        routes = {CHAT: sends(events(said("38", "stop"), usage(int(0.7 * len(asked.ids)))))}
        found, _ = run(routes, asked)
        assert any("may have cut" in message for message in warnings(found))

    def test_a_short_prompt_is_not_judged_by_the_template_around_it(self) -> None:
        found, _ = run({CHAT: sends(events(said("38", "stop"), usage(5)))})
        assert not any("cut" in message for message in warnings(found))

    def test_another_vocabulary_is_measured_by_a_sample(self) -> None:
        def letters(handler: Any, asked: Any) -> None:
            says({"tokens": list(asked.body["prompt"].encode())})(handler, asked)

        asked = prompt("tide " * 2000)
        routes = {"/v1/models": lists("vllm"), "/tokenize": letters}
        whole = {CHAT: sends(events(said("38", "stop"), usage(10_050)))}
        found, _ = run(routes | whole, asked)
        assert not warnings(found)
        cut = {CHAT: sends(events(said("38", "stop"), usage(7_000)))}
        with pytest.raises(DoesNotFit, match="of about"):  # though it is more than Llama 4 has
            run(routes | cut, asked)


class TestClosing:
    def test_leaving_an_answer_closes_the_connection(self) -> None:
        routes = {"/v1/models": lists(), CHAT: never_ends(events(said("x"), done=False))}
        with FaultyServer(routes) as server, open_engine("openai", setup(server)) as engine:
            answer = engine.generate(prompt(), Sampling(max_tokens=1_000_000))
            assert next(answer) == Text("x")
            assert isinstance(answer, Generator)
            answer.close()
            assert server.cut_off.wait(5)

    def test_a_dropped_answer_closes_the_connection(self) -> None:
        routes = {"/v1/models": lists(), CHAT: never_ends(events(said("x"), done=False))}
        with FaultyServer(routes) as server, open_engine("openai", setup(server)) as engine:
            next(engine.generate(prompt(), Sampling(max_tokens=1_000_000)))
            gc.collect()
            assert server.cut_off.wait(5)

    @pytest.mark.parametrize("begun", [b"", events(said("x"), done=False)])
    def test_closing_the_engine_ends_a_wait_in_another_thread(self, begun: bytes) -> None:
        release, ended = threading.Event(), threading.Event()
        routes = {"/v1/models": lists(), CHAT: falls_silent(begun, release)}
        with FaultyServer(routes) as server, open_engine("openai", setup(server)) as engine:

            def read() -> None:
                with pytest.raises(EngineError):
                    list(engine.generate(prompt(), sampling()))
                ended.set()

            threading.Thread(target=read, daemon=True).start()
            while not server.bodies(CHAT):
                time.sleep(0.01)
            engine.close()
            assert ended.wait(5)
            release.set()


class TestServers:
    def opened(self, stack: ExitStack, routes: Mapping[str, Route], **values: Any) -> CompatibleEngine:
        server = stack.enter_context(FaultyServer(routes))
        engine = stack.enter_context(open_engine("openai", setup(server, **values)))
        assert isinstance(engine, CompatibleEngine)
        return engine

    def test_what_vllm_is(self) -> None:
        routes = takes_ids("vllm", ANSWER, max_model_len=65536) | {"/version": says({"version": "0.32.0"})}
        with ExitStack() as stack:
            engine = self.opened(stack, routes)
            assert engine.limits().context_tokens == 65536
            where = engine.server.base
            assert engine.identity() == Identity(kind="openai", model="tiny", version="vLLM 0.32.0", where=where)
            assert "token ids" in engine.describe()
            assert "65,536" in engine.describe()

    def test_what_the_user_says_fits_is_taken(self) -> None:
        with ExitStack() as stack:
            engine = self.opened(stack, takes_ids("vllm", ANSWER, max_model_len=65536), context_tokens=20)
            assert engine.limits().context_tokens == 20
            with pytest.raises(DoesNotFit, match="takes 20 there"):
                next(engine.generate(prompt(), sampling()))

    @pytest.mark.parametrize(
        ("owner", "path", "document"),
        [
            ("llamacpp", "/props", {"default_generation_settings": {"n_ctx": 4096}}),
            ("library", "/api/ps", {"models": [{"name": "tiny", "context_length": 4096}]}),
            ("organization_owner", "/api/v0/models/tiny", {"loaded_context_length": 4096}),
        ],
    )
    def test_where_each_says_how_much_fits(self, owner: str, path: str, document: Any) -> None:
        with ExitStack() as stack:
            engine = self.opened(stack, {"/v1/models": lists(owner, max_model_len=7), path: says(document)})
            assert engine.limits().context_tokens == 4096

    def test_ollama_loads_a_model_to_know_how_much_fits(self) -> None:
        loaded = says({"models": [{"name": "tiny", "context_length": 8192}]})
        routes = {
            "/v1/models": lists("library"),
            "/api/ps": in_turn(says({"models": []}), loaded),
            "/api/generate": says({"done": True}),
        }
        with ExitStack() as stack:
            assert self.opened(stack, routes).limits().context_tokens == 8192

    def test_an_old_ollama_says_it_in_the_models_parameters(self) -> None:
        shown = {"parameters": 'stop "<|eot|>"\nnum_ctx                        2048'}
        with ExitStack() as stack:
            routes = {
                "/v1/models": lists("somebody"),
                "/api/show": says(shown),
                "/api/version": says({"version": "0.5"}),
            }
            engine = self.opened(stack, routes)
            assert engine.limits().context_tokens == 2048
            assert engine.identity().version == "Ollama 0.5"

    def test_how_special_text_is_read_is_found_out(self) -> None:
        def letters(handler: Any, asked: Any) -> None:
            read = asked.body["prompt"].replace("<|im_end|>", "\0").replace("</s>", "\0")
            says({"tokens": list(read.encode())})(handler, asked)

        def plain(handler: Any, asked: Any) -> None:
            says({"tokens": list(asked.body["prompt"].encode())})(handler, asked)

        with ExitStack() as stack:
            engine = self.opened(stack, {"/v1/models": lists("vllm"), "/tokenize": letters})
            assert "reads control tokens from" in engine.describe()
            engine = self.opened(stack, {"/v1/models": lists("vllm"), "/tokenize": plain})
            assert "reads no control tokens" in engine.describe()

    @pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
    def test_an_address_with_and_without_v1(self, ending: str) -> None:
        with ExitStack() as stack:
            server = stack.enter_context(FaultyServer({"/v1/models": lists()}))
            engine = stack.enter_context(open_engine("openai", setup(server, base_url=server.root + ending)))
            assert engine.identity().where == f"{server.root}/v1"

    def test_an_api_that_lies_elsewhere(self) -> None:
        with ExitStack() as stack:
            server = stack.enter_context(FaultyServer({"/gateway/models": lists()}))
            engine = stack.enter_context(open_engine("openai", setup(server, base_url=f"{server.root}/gateway")))
            assert engine.identity().where == f"{server.root}/gateway"

    def test_embedding_models_are_not_chosen(self) -> None:
        with ExitStack() as stack:
            engine = self.opened(stack, {"/v1/models": lists("x", "nomic-embed-text", "llama")})
            assert engine.identity().model == "llama"

    def test_a_version_that_is_the_key_is_not_shown(self) -> None:
        routes = takes_ids("vllm", ANSWER) | {"/version": says({"version": "sk-very-secret"})}
        with ExitStack() as stack:
            engine = self.opened(stack, routes, api_key="sk-very-secret")
            assert engine.identity().version == "vLLM [key]"

    def test_the_key_goes_out_but_is_shown_nowhere(self) -> None:
        with ExitStack() as stack:
            server = stack.enter_context(FaultyServer({"/v1/models": lists(), CHAT: ANSWER}))
            given_setup = setup(server, api_key="sk-very-secret")
            engine = stack.enter_context(open_engine("openai", given_setup))
            list(engine.generate(prompt(), sampling()))
            assert {asked.headers.get("Authorization") for asked in server.asked} == {"Bearer sk-very-secret"}
            shown = [repr(given_setup), repr(engine), repr(vars(engine)), engine.describe(), repr(engine.identity())]
            assert "secret" not in json.dumps(shown)

"""A model is asked for as little as it takes, in the words that its server knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from drivers import probe
from infra.localaws.http import Answer, Request, Server

Ask = Callable[[Callable[[str, Mapping[str, Any]], Answer]], tuple[probe.Answer, list[Mapping[str, Any]]]]
GOOD = Answer(200, {}, json.dumps({"choices": [{"message": {"content": "Hi"}}]}).encode())


def refused(status: int, message: str) -> Answer:
    return Answer(status, {}, json.dumps({"error": {"message": message}}).encode())


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Ask a server that answers like this; what comes of it, and what was asked."""
    servers: list[Server] = []

    def asked(answer: Callable[[str, Mapping[str, Any]], Answer]) -> tuple[probe.Answer, list[Mapping[str, Any]]]:
        questions: list[Mapping[str, Any]] = []

        def served(request: Request) -> Answer:
            questions.append(json.loads(request.body))
            return answer(request.path, questions[-1])

        servers.append(Server(served))
        return probe.complete(f"http://127.0.0.1:{servers[-1].port}/v1/", "m", prompt="Hi"), questions

    yield asked
    for server in servers:
        server.stop()


def test_one_token_is_all_that_is_asked_for(ask: Ask) -> None:
    answer, (question,) = ask(lambda path, question: GOOD)
    assert answer.ok
    assert question["max_tokens"] == 1


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "Invalid 'max_tokens': integer below minimum value.",
    ],
)
def test_a_model_that_takes_no_such_limit_is_asked_in_its_own_words(ask: Ask, message: str) -> None:
    answer, questions = ask(lambda path, question: refused(400, message) if "max_tokens" in question else GOOD)
    assert answer.ok
    assert [question.get("max_completion_tokens") for question in questions] == [None, probe.FEW_TOKENS]
    assert "max_tokens" not in questions[1]


def test_another_refusal_is_not_asked_twice(ask: Ask) -> None:
    answer, questions = ask(lambda path, question: refused(400, "The provided model identifier is invalid."))
    assert (answer.ok, answer.status, len(questions)) == (False, 400, 1)


def test_a_model_without_a_chat_template_goes_on_from_a_text(ask: Ask) -> None:
    answer, questions = ask(
        lambda path, question: GOOD if path == "/v1/completions" else refused(500, "this model has no chat template")
    )
    assert answer.ok
    assert questions[1]["prompt"] == "Hi"

"""What one pass came to: when a one-shot run has nothing to wait for any more."""

from __future__ import annotations

from typing import Any

from drivers.base import Phase
from drivers.errors import Denied
from reconciler.apply import Applied
from reconciler.plan import Action, Step
from reconciler.result import PassResult
from tests.builders import deployment_record, plan, recorded

SILENT = deployment_record(1, model="far", phase=Phase.UNKNOWN)
STEP = Step(Action.FORGET, "llm", "llamacpp", "verified absent")


def _result(**given: Any) -> PassResult:
    return PassResult(**({"plan": plan(), "known": recorded(SILENT), "denied": "no credentials"} | given))


def test_a_platform_that_will_not_say_ends_the_run_with_its_words() -> None:
    assert _result().stuck == "no credentials"
    assert _result(denied="").stuck == ""


def test_a_platform_that_will_not_say_holds_up_no_other_model() -> None:
    """A model that had failed on this host was forgotten, and the run ended before it was made anew."""
    assert _result(applied=(Applied(STEP, None),)).stuck == ""
    assert _result(switched=True).stuck == ""
    starting = deployment_record(2, phase=Phase.CREATING)
    assert _result(known=recorded(SILENT, starting)).stuck == ""
    assert _result(applied=(Applied(STEP, SILENT, error=Denied("not you")),)).stuck == "not you"

"""SageMaker's calls, each with its own answers: missing is None, existing is looked at, all else is an error of ours.

SageMaker says nearly everything that it refuses with one code, ValidationException, so its sentences decide. Those
that are read here stand in one table. They have not been seen in a real account yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from drivers.aws.clients import Client
from drivers.aws.errors import code_of, edge, says
from drivers.aws.sagemaker import facts
from drivers.aws.sagemaker.alarms import REMEDY as ALARMS_REMEDY
from drivers.aws.sagemaker.facts import Component, Seen
from drivers.aws.sagemaker.requests import Request
from drivers.aws.tags import as_list, as_mapping, is_ours
from drivers.base import Deployment
from drivers.errors import Denied, Taken, Unavailable

_MISSING = ("could not find", "does not exist", "not found")
_EXISTING = ("already existing", "already exists")
_BUSY = ("in-progress", "in progress")
_ALARMS = ("describealarms",)
_ROLE = ("assume role", "rolearn", "role arn", "trust relationship")


class Api:
    """One region's SageMaker, about one deployment at a time."""

    def __init__(self, client: Client) -> None:
        self._reads, self._calls = client.reads, client.calls
        self.region = client.region

    def endpoint(self, name: str) -> Seen | None:
        """An endpoint with its tags; None where SageMaker knows none of that name."""
        said = self._look("endpoint", name, lambda: self._reads.describe_endpoint(EndpointName=name))
        return None if said is None else facts.endpoint(said, self.tags(said["EndpointArn"]))

    def component(self, name: str) -> Component | None:
        """An inference component; None where there is none."""
        about = "inference component"
        said = self._look(about, name, lambda: self._reads.describe_inference_component(InferenceComponentName=name))
        return None if said is None else facts.component(said)

    def tags(self, arn: str) -> Mapping[str, str]:
        """The tags of anything; none for what is gone meanwhile."""
        said = self._look("tags of", arn, lambda: self._reads.list_tags(ResourceArn=arn, MaxResults=100))
        return {} if said is None else as_mapping(said["Tags"])

    def arn(self, kind: str, name: str) -> str | None:
        """The ARN of a model or configuration; None where SageMaker knows none of that name."""
        describe = getattr(self._reads, f"describe_{kind}")
        said = self._look(_words(kind), name, lambda: describe(**{_NAMES[kind]: name}))
        return None if said is None else str(said[_ARNS[kind]])

    def make(self, kind: str, request: Request, deployment: Deployment) -> None:
        """`model`, `endpoint_config`, `endpoint` or `inference_component`: made, unless it is there and ours already.

        Raises Taken for one of that name that is somebody else's."""
        name = str(next(iter(request.values())))
        about = f"creating the {_words(kind)} {name}"
        with edge(about, changes=True):
            try:
                getattr(self._calls, f"create_{kind}")(**request)
                return
            except Exception as error:
                if not _is(error, _EXISTING):
                    raise self._explained(error, about) from error
        if not self._is_ours(kind, name, deployment):
            raise Taken(f"{about}: there is one of that name, and it is not ours; it was left alone")

    def change(self, operation: str, request: Request, about: str) -> None:
        """Any other call that changes something. Raises Unavailable while the endpoint is busy."""
        with edge(about, changes=True):
            try:
                getattr(self._calls, operation)(**request)
            except Exception as error:
                raise self._explained(error, about) from error

    def remove(self, kind: str, name: str) -> bool:
        """Ask for its removal. True where it was there and could be asked; gone is False, busy is Unavailable."""
        about = f"deleting the {_words(kind)} {name}"
        with edge(about, changes=True):
            try:
                getattr(self._calls, f"delete_{kind}")(**{_NAMES[kind]: name})
                return True
            except Exception as error:
                if _is(error, _MISSING):
                    return False
                raise self._explained(error, about) from error

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Set these tags, all in one call."""
        self.change("add_tags", {"ResourceArn": arn, "Tags": as_list(tags)}, f"tagging {arn}")

    def untag(self, arn: str, keys: tuple[str, ...]) -> None:
        """Take these tags away; nothing is sent where there are none."""
        if keys:
            self.change("delete_tags", {"ResourceArn": arn, "TagKeys": list(keys)}, f"tagging {arn}")

    def named(self, kind: str, prefix: str) -> Mapping[str, str]:
        """Name to ARN of all things of a kind (`model`, `endpoint_config`) whose names begin so."""
        title = "".join(word.title() for word in kind.split("_"))
        about = f"listing {_words(kind)}s like {prefix}"
        with edge(about):
            pages = self._pages(f"list_{kind}s", f"{title}s", {"NameContains": prefix, "MaxResults": 100})
            found = {each[f"{title}Name"]: each[f"{title}Arn"] for each in pages}
        return {name: arn for name, arn in found.items() if name.startswith(prefix)}

    def components(self) -> Mapping[str, Component]:
        """Every inference component of the region by name; without what it runs."""
        with edge("listing inference components"):
            listed = self._pages("list_inference_components", "InferenceComponents", {"MaxResults": 100})
            return {found.name: found for found in map(facts.component, listed)}

    def search(self, lineage: str) -> Mapping[str, Seen]:
        """Every endpoint of a lineage by name, with tags, a hundred to a call: an index, which lags behind."""
        mine = {"Name": "Tags.cmr:lineage", "Operator": "Equals", "Value": lineage}
        request = {"Resource": "Endpoint", "SearchExpression": {"Filters": [mine]}, "MaxResults": 100}
        with edge("searching SageMaker for our endpoints"):
            results = self._pages("search", "Results", request)
            return {found.name: found for found in (facts.endpoint(each["Endpoint"]) for each in results)}

    def _pages(self, operation: str, key: str, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        asked = dict(request)
        while True:
            said = getattr(self._reads, operation)(**asked)
            yield from said.get(key, ())
            if not said.get("NextToken"):
                return
            asked["NextToken"] = said["NextToken"]

    def _look(self, kind: str, name: str, ask: Callable[[], Any]) -> Any:
        with edge(f"asking SageMaker for the {kind} {name}"):
            try:
                return ask()
            except Exception as error:
                if _is(error, _MISSING):
                    return None
                raise

    def _is_ours(self, kind: str, name: str, deployment: Deployment) -> bool:
        arn = self.arn(kind, name)
        if arn is None:
            raise Unavailable(f"the {_words(kind)} {name} was there a moment ago, and is gone")
        return is_ours(self.tags(arn), deployment)

    def _explained(self, error: Exception, about: str) -> Exception:
        """Errors that mean something else here than everywhere: not yet, and the operator's role."""
        if code_of(error) != "ValidationException":
            return error
        if says(error, *_BUSY):
            return Unavailable(f"{about}: AWS is still busy with it, and it is asked again")
        if says(error, "could not find endpoint config", "could not find model"):
            # They are read from copies: what was made a moment ago may not have arrived everywhere.
            return Unavailable(f"{about}: AWS does not see yet what it needs, and it is asked again")
        if says(error, *_ALARMS):
            return Denied(f"{about}: {error}; {ALARMS_REMEDY}")
        if says(error, *_ROLE):
            return Denied(f"{about}: {error}; the role of aws.roles must exist and trust sagemaker.amazonaws.com")
        return error


_NAMES = {
    "model": "ModelName",
    "endpoint_config": "EndpointConfigName",
    "endpoint": "EndpointName",
    "inference_component": "InferenceComponentName",
}
_ARNS = {kind: name.replace("Name", "Arn") for kind, name in _NAMES.items()}


def _is(error: Exception, sentences: tuple[str, ...]) -> bool:
    known = (
        "ValidationException",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ResourceInUse",
        "ConflictException",
    )
    return code_of(error) in known and says(error, *sentences)


def _words(kind: str) -> str:
    return {"endpoint_config": "endpoint configuration"}.get(kind, kind.replace("_", " "))

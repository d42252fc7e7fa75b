"""A standing as an observation. One that answered here before is believed; any other has its model asked, once."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.aws.clients import Clients
from drivers.aws.patience import share_s
from drivers.aws.place import Place
from drivers.aws.sagemaker import readiness
from drivers.aws.sagemaker.phases import ANSWERED, Standing
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, Endpoint, Observation, Phase


class Answering:
    """Asks models at the URLs that clients get."""

    def __init__(self, settings: AwsSettings, clients: Clients) -> None:
        self._settings, self._clients = settings, clients

    def observation(
        self, deployment: Deployment, place: Place, about: Standing, handle: Mapping[str, str]
    ) -> Observation:
        """The standing, with READY kept back until there was an answer, which the handle then remembers."""
        endpoint = self.endpoint(deployment, place) if about.serves else None
        seen = Observation(
            phase=about.phase,
            detail=about.detail,
            endpoint=endpoint,
            handle=handle,
            look_again_s=about.look_again_s,
            spec_digest=about.digest,
        )
        if about.phase is not Phase.READY or handle.get(ANSWERED) == about.serves:
            return seen
        answer = readiness.answers(
            deployment,
            self._base(place),
            self._clients.credentials(place),
            self._clients.region(place),
            share_s(self._settings.answer_timeout_s),
        )
        if not answer.ok:
            detail = readiness.missing(answer)
            return Observation(phase=Phase.CREATING, detail=detail, handle=handle, look_again_s=10.0)
        remembered = dict(handle) | {ANSWERED: about.serves}
        return Observation(phase=Phase.READY, endpoint=endpoint, handle=remembered, spec_digest=about.digest)

    def endpoint(self, deployment: Deployment, place: Place) -> Endpoint:
        """Where clients ask."""
        return readiness.endpoint(deployment, self._base(place))

    def _base(self, place: Place) -> str:
        return str(self._clients(place, "sagemaker-runtime").reads.meta.endpoint_url)

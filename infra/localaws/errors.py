"""AWS's errors, and how each protocol writes them so that an SDK reads the code and the message back."""

from __future__ import annotations

import json
import uuid
from enum import Enum
from xml.sax.saxutils import escape

from infra.localaws.http import Answer


class Protocol(Enum):
    """How a service puts calls and errors into HTTP, by botocore's names."""

    JSON = "json"
    REST_JSON = "rest-json"
    REST_XML = "rest-xml"
    QUERY = "query"
    EC2 = "ec2"


class AwsError(Exception):
    """An answer that is an error: AWS's code, AWS's message, the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Invalid(AwsError):
    """What most services answer to nearly everything that they refuse."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


def unknown_key(protocol: Protocol) -> AwsError:
    """What a service says to an access key that nobody has."""
    if protocol is Protocol.EC2:
        return AwsError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if protocol is Protocol.QUERY:
        return AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    text = "The security token included in the request is invalid."
    return AwsError("UnrecognizedClientException", text, 400 if protocol is Protocol.JSON else 403)


def error_answer(protocol: Protocol, error: AwsError) -> Answer:
    """The error as a client of this protocol expects it."""
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-RequestId": request_id}
    if protocol in (Protocol.JSON, Protocol.REST_JSON):
        said = {"__type": error.code, "message": error.message}
        kind = "application/x-amz-json-1.1" if protocol is Protocol.JSON else "application/json"
        headers |= {"Content-Type": kind, "x-amzn-errortype": error.code}
        return Answer(error.status, headers, json.dumps(said).encode())
    inner = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    own_id = f"<RequestId>{request_id}</RequestId>"
    text = {
        Protocol.EC2: f"<Response><Errors><Error>{inner}</Error></Errors>{own_id}</Response>",
        Protocol.QUERY: f"<ErrorResponse><Error>{inner}</Error>{own_id}</ErrorResponse>",
        Protocol.REST_XML: f"<Error>{inner}{own_id}</Error>",
    }[protocol]
    return Answer(error.status, headers | {"Content-Type": "text/xml"}, text.encode())

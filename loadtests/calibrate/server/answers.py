"""From a request to the bytes of its response, refusals included."""

from __future__ import annotations

import orjson

from loadtests.calibrate.server.framing import Framed, frame_response
from loadtests.calibrate.server.memory import OTHER, Memory, Refusal
from loadtests.calibrate.server.tables import Control


class Answers:
    """DynamoDB's operations on tables in memory."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._control = Control(self._memory)

    def answer(self, framed: Framed) -> tuple[int, bytes]:
        """The call's code (negative: not scripted) and the response's bytes."""
        code = -1
        try:
            request = orjson.loads(framed.body)
            operation = self._memory.operations.get(framed.operation)
            if operation is not None:
                code = OTHER
                code, body = operation(request)
                return code, frame_response(200, body)
            controlled = self._control.answer(framed.operation, request)
            if controlled is not None:
                return -1, frame_response(200, controlled)
            name, message = "UnknownOperationException", framed.operation
        except Refusal as refusal:
            code, name, message = refusal.code, refusal.name, str(refusal)
        except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
            name, message = "SerializationException", f"{type(error).__name__}: {error}"
        refusal_body = {"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": message}
        return code, frame_response(400, orjson.dumps(refusal_body))

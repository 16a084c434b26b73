"""The conventional load test: boto3 in a Locust user with constant pacing, for comparison only.

It is a separate locustfile, as most teams would write it, and imports nothing of this project.
"""

from __future__ import annotations

import os
import random
import time

import boto3
from locust import User, constant_pacing, task

_TABLE = "cloudshelf-carts"


class ConventionalUser(User):
    """Ten calls per second."""

    wait_time = constant_pacing(0.1)

    def on_start(self) -> None:
        """Open a client, as the tutorials do."""
        self.client = boto3.client(
            "dynamodb",
            endpoint_url=os.environ["CONVENTIONAL_ENDPOINT"],
            region_name="us-east-1",
            aws_access_key_id="conventional",
            aws_secret_access_key="conventional",  # noqa: S106 (the server checks none)
        )

    @task(3)
    def get_cart(self) -> None:
        """Read a cart."""
        self._timed(
            "query",
            TableName=_TABLE,
            KeyConditionExpression="user_id = :u",
            ExpressionAttributeValues={":u": {"S": f"user-{random.randrange(2000)}"}},
        )

    @task(2)
    def get_line(self) -> None:
        """Read a line."""
        key = {"user_id": {"S": f"user-{random.randrange(2000)}"}, "book_id": {"S": "book-1"}}
        self._timed("get_item", TableName=_TABLE, Key=key)

    def _timed(self, operation: str, **request: object) -> None:
        start_s = time.perf_counter()
        error: Exception | None = None
        try:
            getattr(self.client, operation)(**request)
        except Exception as caught:  # noqa: BLE001 (Locust counts every failure)
            error = caught
        self.environment.events.request.fire(
            request_type="dynamodb",
            name=operation,
            response_time=(time.perf_counter() - start_s) * 1e3,
            response_length=0,
            exception=error,
            context={},
        )

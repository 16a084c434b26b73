"""The conventional load test of a DynamoDB table: a boto3 client per user, no schedule.

The harness is compared with it; it is not an example to follow. The experiment sets DYNAMODB_URL
and KEYS.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import Final

import boto3
from locust import User, constant, task

KEYS: Final = itertools.cycle(json.loads(os.environ["KEYS"]))


class CartUser(User):
    """Reads one line again and again, without a pause."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Open a client."""
        self.user_id, self.book_id = next(KEYS)
        self.client = boto3.session.Session().client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=os.environ["DYNAMODB_URL"],
            aws_access_key_id="AKID",
            aws_secret_access_key="secret",
        )

    @task
    def get_item(self) -> None:
        """Read the line and report the time to Locust."""
        start_s = time.perf_counter()
        error: Exception | None = None
        try:
            self.client.get_item(
                TableName="cloudshelf-carts",
                Key={"user_id": {"S": self.user_id}, "book_id": {"S": self.book_id}},
            )
        except Exception as caught:  # noqa: BLE001 - as such tests do it
            error = caught
        self.environment.events.request.fire(
            request_type="dynamodb",
            name="get_item",
            response_time=(time.perf_counter() - start_s) * 1000,
            response_length=0,
            exception=error,
        )

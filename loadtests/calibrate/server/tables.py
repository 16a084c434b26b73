"""A scripted server's tables created, described and filled, so that real set-up code runs on it.

These calls are answered immediately and not recorded: only the nine access patterns are scripted.
"""

from __future__ import annotations

from typing import Final

import orjson

from loadtests.calibrate.server.memory import Attributes, Memory, MemoryTable, Refusal

_CREATED: Final = 1705330800


class Control:
    """CreateTable, DescribeTable, time to live, BatchWriteItem, Scan and similar operations."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._created: dict[str, Attributes] = {}
        self._ttl: dict[str, Attributes] = {}

    def answer(self, operation: str, request: Attributes) -> bytes | None:
        """The response body, or None for an unknown operation."""
        method = {
            "CreateTable": self._create,
            "DeleteTable": self._delete,
            "DescribeTable": self._describe,
            "ListTables": self._list,
            "UpdateTimeToLive": self._set_ttl,
            "DescribeTimeToLive": self._get_ttl,
            "BatchWriteItem": self._batch_write,
            "Scan": self._scan,
        }.get(operation)
        return None if method is None else orjson.dumps(method(request))

    def _create(self, request: Attributes) -> Attributes:
        name = request["TableName"]
        if name in self._created:
            raise Refusal("ResourceInUseException", -1, f"Table already exists: {name}")
        keys = {key["KeyType"]: key["AttributeName"] for key in request["KeySchema"]}
        self._memory.tables[name] = MemoryTable(keys["HASH"], keys.get("RANGE", ""))
        self._created[name] = request
        return {"TableDescription": self._description(name)}

    def _delete(self, request: Attributes) -> Attributes:
        self._memory.table(request)
        name = request["TableName"]
        description = self._description(name)
        del self._memory.tables[name]
        self._created.pop(name, None)
        self._ttl.pop(name, None)
        return {"TableDescription": description}

    def _describe(self, request: Attributes) -> Attributes:
        name = request["TableName"]
        if name not in self._created:
            raise Refusal("ResourceNotFoundException", -1, f"Requested resource not found: {name}")
        return {"Table": self._description(name)}

    def _list(self, request: Attributes) -> Attributes:  # noqa: ARG002 - one signature for all
        return {"TableNames": sorted(self._created)}

    def _description(self, name: str) -> Attributes:
        created = self._created.get(name, {})
        table = self._memory.tables[name]
        return {
            "TableName": name,
            "TableStatus": "ACTIVE",
            "TableArn": f"arn:aws:dynamodb:local:000000000000:table/{name}",
            "CreationDateTime": _CREATED,
            "KeySchema": created.get("KeySchema", []),
            "AttributeDefinitions": created.get("AttributeDefinitions", []),
            "BillingModeSummary": {"BillingMode": created.get("BillingMode", "PROVISIONED")},
            "TableClassSummary": {"TableClass": created.get("TableClass", "STANDARD")},
            "ItemCount": sum(map(len, table.items.values())),
            "TableSizeBytes": 0,
            "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        }

    def _set_ttl(self, request: Attributes) -> Attributes:
        self._memory.table(request)
        specification = request["TimeToLiveSpecification"]
        self._ttl[request["TableName"]] = specification
        return {"TimeToLiveSpecification": specification}

    def _get_ttl(self, request: Attributes) -> Attributes:
        self._memory.table(request)
        specification = self._ttl.get(request["TableName"], {})
        status = "ENABLED" if specification.get("Enabled") else "DISABLED"
        name = {"AttributeName": specification["AttributeName"]} if specification else {}
        return {"TimeToLiveDescription": {"TimeToLiveStatus": status, **name}}

    def _batch_write(self, request: Attributes) -> Attributes:
        for name, writes in request["RequestItems"].items():
            table = self._memory.table({"TableName": name})
            for write in writes:
                if "PutRequest" in write:
                    table.put(write["PutRequest"]["Item"])
                else:
                    partition, sort = table.keys_of(write["DeleteRequest"]["Key"])
                    table.items.get(partition, {}).pop(sort, None)
        return {"UnprocessedItems": {}}

    def _scan(self, request: Attributes) -> Attributes:
        partitions = self._memory.table(request).items.values()
        items = [item.attributes for partition in partitions for item in partition.values()]
        counts = {"Count": len(items), "ScannedCount": len(items)}
        return counts if request.get("Select") == "COUNT" else {**counts, "Items": items}

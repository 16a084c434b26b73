"""What the gate hands to the Locust it starts, by environment variable."""

from __future__ import annotations

from typing import Final

# the endpoints as JSON, with the DSN: not an argument, which `ps` would show
ENDPOINTS_VARIABLE: Final = "LOADTESTS_ENDPOINTS"
RUN_ID_VARIABLE: Final = "LOADTESTS_RUN_ID"

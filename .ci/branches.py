"""Print the branches that the tests reach in each room; exit 1 when one reaches too few.

Reads the data file of coverage in the current folder. A threshold is what was reached, rounded
down: raise it when more is reached.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

# percent of the branches
THRESHOLDS = {"judge": 95, "measure": 93, "stores": 93}


def main() -> int:
    """Compare every room with its threshold."""
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "coverage.json")
        coverage.json_report(outfile=str(path))
        files = json.loads(path.read_text())["files"]
    too_few = False
    for room, threshold in THRESHOLDS.items():
        summaries = [f["summary"] for name, f in files.items() if f"/{room}/" in name]
        branches = sum(summary["num_branches"] for summary in summaries)
        reached = sum(summary["covered_branches"] for summary in summaries)
        percent = 100 * reached / branches
        too_few |= percent < threshold
        sys.stdout.write(
            f"{room}: {reached} of {branches} branches ({percent:.1f}%, at least {threshold}%)\n"
        )
    return int(too_few)


if __name__ == "__main__":
    sys.exit(main())

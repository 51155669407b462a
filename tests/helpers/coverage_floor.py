"""Hold coverage.py's JSON report to the floor of the pure rooms, and name every file below it; ``make coverage``."""

import json
import sys
from collections import defaultdict

FLOOR = 95.0  # per cent of lines and branches, in each room


def shares(report: dict) -> tuple[dict[str, float], dict[str, float]]:
    """Per cent covered (lines and branches together) by room and by file.

    >>> file = {"covered_lines": 8, "num_statements": 10, "covered_branches": 1, "num_branches": 2}
    >>> shares({"files": {"calib_assets/stats/a.py": {"summary": file}}})
    ({'stats': 75.0}, {'calib_assets/stats/a.py': 75.0})
    """
    rooms, files = defaultdict(lambda: [0, 0]), {}
    for name, found in report["files"].items():
        counts = found["summary"]
        reached = counts["covered_lines"] + counts["covered_branches"]
        there = counts["num_statements"] + counts["num_branches"]
        files[name] = 100 * reached / there if there else 100.0
        room = rooms[name.split("/")[1]]
        room[0] += reached
        room[1] += there
    return {room: 100 * reached / there for room, (reached, there) in rooms.items()}, files


def main(path: str) -> int:
    """Print rooms, and files below the floor with what is missing; 1 if a room is below it."""
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    rooms, files = shares(report)
    for name, share in sorted(files.items()):
        if share < FLOOR:
            print(f"{name}: {share:.1f} %, lines {report['files'][name]['missing_lines']}")
    print(", ".join(f"{room} {share:.1f} %" for room, share in sorted(rooms.items())))
    return int(any(share < FLOOR for share in rooms.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""The share of planted faults that the tests find, for each file of rules, from the last `mutmut run`.

A fault that lets a test run on without end counts as found; one that no test reaches counts as missed. Exits with 1
where a file is below the share that the project promises.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

PROMISED = 0.8
FOUND = {"killed", "timeout", "suspicious", "segfault"}


def count_by_file(lines: list[str]) -> dict[str, Counter[str]]:
    """How many mutants of each file came to which end; lines are `package.module.x_function__mutmut_1: killed`."""
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        name, _, end = line.strip().rpartition(": ")
        if "__mutmut_" in name:
            counts.setdefault(name.split(".x")[0], Counter())[end] += 1
    return counts


def main() -> int:
    """Prints a line for each file."""
    told = subprocess.run(
        [sys.executable, "-m", "mutmut", "results", "--all", "true"], capture_output=True, text=True, check=True
    )
    counts = count_by_file(told.stdout.splitlines())
    low = not counts
    for name, ends in sorted(counts.items()):
        share = sum(ends[end] for end in FOUND) / ends.total()
        low |= share < PROMISED
        print(f"{share:6.1%}  {name}  ({', '.join(f'{count} {end}' for end, count in ends.most_common())})")
    return int(low)


if __name__ == "__main__":
    sys.exit(main())

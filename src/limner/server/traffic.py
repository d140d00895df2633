"""Requests and answers, counted at the server's edge."""

import bisect
from collections import Counter
from dataclasses import dataclass, field

# Others are counted as one: clients choose them.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Upper bounds of the histogram of answering times, seconds; pictures take from milliseconds to minutes.
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass
class Traffic:
    """Numbers that only grow."""

    # Answers by method and status.
    answers: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    # POST requests by how long they took: one count for each of BOUNDS, and one for all that took longer.
    took: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    # Seconds of all of them together.
    seconds: float = 0.0

    def count(self, method: str, status: int, seconds: float) -> None:
        """Take in an answer that is out."""
        self.answers[method if method in METHODS else "other", status] += 1
        if method == "POST":
            self.took[bisect.bisect_left(BOUNDS, seconds)] += 1
            self.seconds += seconds

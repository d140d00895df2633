"""What a Studio has done since it was made, in numbers that only grow."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts by model and outcome. Who reads them compares two readings."""

    # Requests that went to an engine's line, by model and by what became of them: "succeeded", "failed", "cancelled",
    # or "refused" because the line was full.
    requests: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    # All requests by where their pictures came from: "hit", "joined", "miss" or "off".
    origins: Counter[str] = field(default_factory=Counter[str])
    # Pictures that were drawn, by model.
    pictures: Counter[str] = field(default_factory=Counter[str])
    # Seconds that engines have spent, by model; in company a second counts to each its share.
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))

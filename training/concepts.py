"""Which things limner-mini learns to draw, and what people call them.

The names come from emojibase-data (MIT): every drawing of the icon sets is joined to its label and keywords
by its code points. `everyday.txt` adds the short words that people type ("car", "tree") and that the labels miss.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# emojibase groups: animals and nature, food, travel and places, activities, objects.
THINGS = (3, 4, 5, 6, 7)
# Faces, people, signs and flags.
OTHERS = (0, 1, 8, 9)
# A label of emojibase, "flag: France".
FLAG = "flag: "

# Near-duplicates that cost capacity, pictures of words, and what nobody asks for by name. A colon parts the members of
# a family ("family: man, boy") and the ways of a head of hair.
SKIP = re.compile(
    r"o’clock|-thirty|gibbous|quarter moon|waning|small cloud|large cloud|speaker (low|medium)|open mailbox|"
    r"lowered flag|:|facing right|\(blood type\)|Japanese “|medium-small|medium square|(CL|NG|P|O|ID|VS|UP!) button|"
    r"circled M|input |small (blue|orange) diamond|part alternation|double curly|white square button|black small|"
    r"white small|(leftwards|rightwards) (hand|pushing)|palm (up|down)|(left|right)-facing|pointing at the viewer|"
    r"middle finger|(man|woman|men|women) (frowning|pouting|gesturing|tipping|raising|getting|with white|in steamy|"
    r"bouncing|cartwheeling|wrestling|playing|juggling|feeding|mountain|kneeling|in motorized|in manual|"
    r"with bunny|guard|genie|factory|bowing|with veil|fencing|standing)|(men|women) wrestling|bunny ears|"
    r"deaf (man|woman)|pregnant (man|person)|(man|woman) (fairy|zombie|elf|vampire)|head shaking|dotted line|"
    r"face without|left speech|right anger|eye in speech|dotted six|Ophiuchus|squinting face with|kissing face with|"
    r"(women|men) holding|Sark|Ascension Island|Ceuta & Melilla|Tristan da Cunha"
)


@dataclass(frozen=True, kw_only=True)
class Concept:
    # Lower-case label, the name the judge uses: "cat".
    label: str
    # Unicode code points as the icon sets write them, lower case, without variation selectors: "1f408".
    code: str
    # Other words for it, most wanted first.
    names: tuple[str, ...]
    # emojibase's: 0 faces, 1 people, 8 signs, 9 flags, the others things.
    group: int
    # emojibase's subgroup within it: "animal-bird".
    kind: str
    # A line of common.txt: it is drawn in every style, and keywords may name it. The others have no cartoons yet, and
    # go by their own names, for their keywords ("sad", "fast", "stop") are said of anything.
    common: bool

    @property
    def character(self) -> str:
        return "".join(chr(int(part, 16)) for part in self.code.split("-"))


def load_concepts(packages: Path) -> list[Concept]:
    """The concepts, in a fixed order. `packages`: node_modules of training/package.json."""
    rows = json.loads((packages / "emojibase-data/en/data.json").read_text())
    kinds = json.loads((packages / "emojibase-data/meta/groups.json").read_text())["subgroups"]
    common = set((Path(__file__).parent / "common.txt").read_text().splitlines())
    kept = [row for row in rows if _wanted(row, common)]
    everyday = load_everyday()
    labels = {row["label"].lower() for row in kept}
    taken = labels | {w for words in everyday.values() for w in words}
    # A keyword that several concepts share ("animal", "food") names none of them.
    uses = Counter(t for row in kept for t in row.get("tags", []))
    out = []
    for row in kept:
        known = row["label"].lower() in common
        tags = [t for t in row.get("tags", []) if t not in taken and t.isascii() and uses[t] == 1][: 4 * known]
        code = "-".join(c for c in row["hexcode"].lower().split("-") if c != "fe0f")
        label = label_of(row)
        names = tuple(everyday.get(row["label"], [])) + tuple(tags)
        group, kind = row["group"], kinds[str(row["subgroup"])]
        out.append(Concept(label=label, code=code, names=names, group=group, kind=kind, common=known))
    return out


def label_of(row: dict) -> str:
    """What a thing is called here: "cat", "france flag"."""
    label = row["label"].lower()
    return label.removeprefix(FLAG) + " flag" if label.startswith(FLAG) else label


def load_everyday() -> dict[str, list[str]]:
    """Label -> what people say for it, from everyday.txt."""
    said: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "everyday.txt").read_text().splitlines():
        if not line.startswith("#"):
            label, _, words = line.partition(" = ")
            said[label] = words.split(", ")
    return said


def _wanted(row: dict, common: set[str]) -> bool:
    label = row["label"]
    return label.lower() in common or (
        row.get("group") in (*THINGS, *OTHERS) and not SKIP.search(label.removeprefix(FLAG))
    )

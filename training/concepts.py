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
# Faces, people and signs. Their keywords ("sad", "fast", "stop") are said of anything, so they name none of these.
OTHERS = (0, 1, 8)

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
    r"(women|men) holding"
)

# Those of OTHERS that a keyword may name all the same: the plainest of their kind.
PLAIN = frozenset(
    (
        "robot", "alien", "ghost", "skull", "alien monster", "pile of poo", "clown face", "grinning face",
        "smiling face with sunglasses", "crying face", "angry face", "thinking face", "red heart", "broken heart",
        "waving hand", "thumbs up", "ear", "eye", "nose", "mouth", "brain", "tooth", "bone", "footprints",
        "bust in silhouette", "person", "man", "woman", "boy", "girl", "baby", "old man", "princess", "mage", "fairy",
        "mermaid", "ninja", "astronaut", "cook", "farmer", "artist", "police officer", "vampire", "zombie", "genie",
        "elf", "Santa Claus", "snowboarder", "person surfing", "person biking", "blue heart", "green heart",
        "yellow heart", "purple heart", "recycling symbol", "peace symbol", "yin yang", "speech balloon",
        "hundred points", "collision", "kiss mark", "flexed biceps", "check mark",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Concept:
    # Lower-case label, the name the judge uses: "cat".
    label: str
    # Unicode code points as the icon sets write them, lower case, without variation selectors: "1f408".
    code: str
    # Other words for it, most wanted first.
    names: tuple[str, ...]
    # Whether keywords may name it, and not its own name alone.
    plain: bool
    # Whether it is drawn in every style: a line of styled.txt. The others have no cartoons yet.
    styled: bool


def load_concepts(packages: Path) -> list[Concept]:
    """The concepts, in a fixed order. `packages`: node_modules of training/package.json."""
    rows = json.loads((packages / "emojibase-data/en/data.json").read_text())
    everyday = load_everyday()
    kept = [row for row in rows if _wanted(row)]
    labels = {row["label"].lower() for row in kept}
    taken = labels | {w for words in everyday.values() for w in words}
    # A keyword that several concepts share ("animal", "food") names none of them.
    uses = Counter(t for row in kept for t in row.get("tags", []))
    styled = set((Path(__file__).parent / "styled.txt").read_text().splitlines())
    out = []
    for row in kept:
        label = row["label"]
        plain = row["group"] in THINGS or label in PLAIN
        tags = [t for t in row.get("tags", []) if t not in taken and t.isascii() and uses[t] == 1][: 4 * plain]
        code = "-".join(c for c in row["hexcode"].lower().split("-") if c != "fe0f")
        names = tuple(everyday.get(label, [])) + tuple(tags)
        out.append(Concept(label=label.lower(), code=code, names=names, plain=plain, styled=label.lower() in styled))
    return out


def load_everyday() -> dict[str, list[str]]:
    """Label -> what people say for it, from everyday.txt."""
    said: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "everyday.txt").read_text().splitlines():
        if not line.startswith("#"):
            label, _, words = line.partition(" = ")
            said[label] = words.split(", ")
    return said


def _wanted(row: dict) -> bool:
    return row["label"] in PLAIN or (row.get("group") in (*THINGS, *OTHERS) and not SKIP.search(row["label"]))

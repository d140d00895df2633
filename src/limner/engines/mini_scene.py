"""What limner-mini can be asked for, and the one way to write it down.

The model is trained on captions of this grammar alone, so a prompt is first read into a `Scene` (`mini_prompt.py`)
and the scene's caption is what the model sees; in the answer it stands, in people's words, as `revised_prompt`.
Training writes its captions by the same functions (training/scenes.py), so the two cannot drift apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

# At most so many things in one picture, each of which is drawn by itself.
MAX_THINGS = 9
NUMBERS = ("", "a", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "light blue",
    "purple",
    "pink",
    "brown",
    "gray",
    "black",
    "beige",
    "white",
)
# Colours that a thing can be turned to.
TINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray", "black", "white")
SIZES = ("small", "big")
SIDES = ("left", "right")
# Manners of drawing. The model's captions have no word for the first.
FLAT = "flat"
STYLES = (FLAT, "3d", "cartoon")
# Nouns that are written with a vowel and said without: "a unicorn".
CONSONANTS = ("uni", "ukr", "uga", "uru", "euro", "one-")
# Nouns whose plural is the same.
SAME = (
    "books", "deer", "eyes", "fish", "glasses", "headphones", "jeans", "scissors", "sheep", "shorts", "sunglasses",
)  # fmt: skip
# Name of a place or a time -> how a caption says it.
PLACES: Mapping[str, str] = MappingProxyType(
    {
        "grass": "on grass",
        "sea": "by the sea",
        "beach": "on the beach",
        "snow": "in the snow",
        "desert": "in the desert",
        "sky": "in the sky",
        "night": "at night",
        "sunset": "at sunset",
        "room": "in a room",
    }
)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing to draw, once or several times."""

    # A concept's label: "cat".
    label: str
    # How often, 1..MAX_THINGS.
    count: int = 1
    # One of TINTS, or None for its own colours.
    colour: str | None = None
    # One of SIZES, or None.
    size: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture in words."""

    # One to MAX_THINGS, counted with their counts.
    things: tuple[Thing, ...]
    # The first of two things stands on the second, instead of to its left.
    stacked: bool = False
    # One of SIDES for a single thing, or None for the middle.
    side: str | None = None
    # One of COLOURS or a key of PLACES; None is white.
    ground: str | None = None
    # One of STYLES; None where the prompt names none, so that the seed may choose.
    style: str | None = None

    def each(self) -> tuple[Thing, ...]:
        """The things, as often as they are counted."""
        return tuple(thing for thing in self.things for _ in range(thing.count))

    def caption(self) -> str:
        """ "a red car on a blue background, 3d", as the model has learnt it: labels in the singular, flat unsaid."""
        text = self._text(lambda thing: thing.label, spelt_article)
        return text if self.style in (None, FLAT) else f"{text}, {self.style}"

    def said(self, noun: Callable[[Thing], str]) -> str:
        """The same for people, who call a thing `noun` of it; asked for again, it is the same scene."""
        text = self._text(noun, article)
        return f"{text}, {self.style}" if self.style else text

    def _text(self, noun: Callable[[Thing], str], article: Callable[[str], str]) -> str:
        named = [_named(thing, noun(thing), article) for thing in self.things]
        if self.stacked and len(named) == 2:
            text = " on ".join(named)
        else:
            text = " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
        if self.side:
            text += f" on the {self.side}"
        if self.ground and self.ground in PLACES:
            text += f" {PLACES[self.ground]}"
        elif self.ground:
            text += f" on {article(self.ground)} {self.ground} background"
        return text


def _named(thing: Thing, noun: str, article: Callable[[str], str]) -> str:
    words = [word for word in (thing.size, thing.colour) if word]
    first = NUMBERS[thing.count] if thing.count > 1 else article(words[0] if words else noun)
    return " ".join([first, *words, noun])


def spelt_article(noun: str) -> str:
    """ "a" or "an" by the first letter, as the model has learnt it: "an unicorn"."""
    return "an" if noun[:1] in "aeiou" else "a"


def article(noun: str) -> str:
    """ "a" or "an", for people."""
    return "a" if noun.startswith(CONSONANTS) else spelt_article(noun)


def plural(noun: str) -> str:
    """The plural of an English noun, by the rules; good enough to be read."""
    for joint in (" of ", " with ", " in ", " on "):
        head, joined, rest = noun.partition(joint)
        if joined:
            return f"{plural(head)}{joint}{rest}"
    head, _, last = noun.rpartition(" ")
    if last in SAME:
        made = last
    elif last.endswith(("s", "x", "ch", "sh")):
        made = f"{last}es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        made = f"{last[:-1]}ies"
    else:
        made = {"mouse": "mice", "goose": "geese", "person": "people", "man": "men", "woman": "women"}.get(
            last, f"{last}s"
        )
    return f"{head} {made}".strip()

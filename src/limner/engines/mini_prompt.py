"""Prompts in people's words, read as a scene that limner-mini can draw.

The language is the one that knows most of the prompt. A word that it does not know is looked up in the other languages,
then as an inflected form, then by its letters; what is understood is told as `revised_prompt`.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from limner.engines.mini_scene import FLAT, MAX_THINGS, TINTS, Scene, Thing, plural
from limner.engines.mini_words import LANGUAGES, Found, Language, Senses, split, unspaced

# Languages whose colours stand behind the thing.
BEHIND = ("es", "fr", "pt", "ar")
# Senses that are a thing, or several.
DRAWN = frozenset(("thing", "things"))


class Reader:
    """Reads prompts. Word lists are loaded as they are needed and kept."""

    def __init__(self) -> None:
        self._languages: dict[str, Language] = {}

    def read(self, prompt: str) -> Scene | None:
        """The scene of a prompt, or None where nothing in it is anything that can be drawn."""
        words = split(prompt)
        language, found = self._best(words)
        known = [self._known(language, item) for item in found]
        if not any({*DRAWN, "country", "place"} & item.senses.keys() for item in known):
            known = [self._alike(language, item) for item in known]
        scene = _Parser(flagged(known), behind=language.code in BEHIND).scene()
        return self.styled(scene, scene.style) if scene and scene.style else scene

    def styled(self, scene: Scene, style: str) -> Scene:
        """The scene in that manner, one of STYLES, or flat: one flat thing among cartoons would look like a mistake."""
        unseen = self._language(LANGUAGES[0]).unseen.get(style, ())
        return replace(scene, style=FLAT if any(thing.label in unseen for thing in scene.things) else style)

    def mirrored(self, thing: Thing) -> bool:
        """Whether the thing may look the other way: it has no writing on it, and no side that matters."""
        return thing.label in self._language(LANGUAGES[0]).mirrored

    def spoken(self, scene: Scene) -> str:
        """The scene in words for people."""
        names = self._language(LANGUAGES[0]).spoken

        def name(thing: Thing) -> str:
            noun = names.get(thing.label, thing.label)
            return noun if thing.count == 1 else plural(noun)

        return scene.said(name)

    def _language(self, code: str) -> Language:
        if code not in self._languages:
            self._languages[code] = Language(code)
        return self._languages[code]

    def _best(self, words: list[str]) -> tuple[Language, list[Found]]:
        """The language that knows most letters of the words; the first one that knows all."""
        best: tuple[int, Language, list[Found]] | None = None
        whole = sum(map(len, words))
        for code in LANGUAGES:
            language = self._language(code)
            found = language.read(words)
            score = sum(len(item.text.replace(" ", "")) for item in found if item.senses)
            if best is None or score > best[0]:
                best = score, language, found
            if score == whole:
                break
        if best is None:
            raise AssertionError("LANGUAGES is not empty")
        return best[1], best[2]

    def _known(self, language: Language, item: Found) -> Found:
        if item.senses or len(item.text) < 3:
            return item
        others = (self._language(code).senses(item.text) for code in LANGUAGES if code != language.code)
        senses: Senses = next((s for s in others if "thing" in s), Senses()) or language.inflected(item.text)
        return replace(item, senses=senses)

    def _alike(self, language: Language, item: Found) -> Found:
        """Only where nothing else is found: a word of similar letters is better than no picture of anything."""
        if item.senses or len(item.text) < 3 or unspaced(item.text):
            return item
        return replace(item, senses=language.alike(item.text)[1])


def flagged(found: list[Found]) -> list[Found]:
    """A country is its flag where flags are spoken of or nothing else is; "a cat in Japan" is a cat."""
    country = any("country" in item.senses for item in found)
    flag = any("flag" in item.senses for item in found)
    other = any(DRAWN & item.senses.keys() and "flag" not in item.senses for item in found)
    if country and (flag or not other):
        found = [
            replace(item, senses={"thing": item.senses["country"]}) if "country" in item.senses else item
            for item in found
            if "flag" not in item.senses
        ]
    left = ("country", "flag")
    return [replace(item, senses={k: v for k, v in item.senses.items() if k not in left}) for item in found]


class _Parser:
    """One prompt's phrases, put together."""

    def __init__(self, found: list[Found], *, behind: bool) -> None:
        self._found = [item for item in found if item.senses and "fill" not in item.senses]
        self._behind = behind
        self._used: set[int] = set()

    def scene(self) -> Scene | None:
        ground = self._coloured_ground()
        at = [i for i, item in enumerate(self._found) if self._is_thing(i, item)]
        place = next((s["place"] for i, s in self._senses() if "place" in s and i not in at), None)
        if not at:
            return None
        things = tuple(self._things(at))
        between = [s for i, s in self._senses() if at[0] < i < at[-1]]
        two = len(things) == 2 and sum(thing.count for thing in things) == 2
        under = two and any("under" in s for s in between)
        stacked = two and (under or any("on" in s for s in between))
        side = next((s["side"] for _, s in self._senses() if "side" in s), None)
        style = next((s["style"] for _, s in self._senses() if "style" in s), None)
        alone = len(things) == 1 and things[0].count == 1
        return Scene(
            things=things[::-1] if under else things,
            stacked=stacked,
            side=side if alone else None,
            ground=ground or place,
            style=style,
        )

    def _senses(self) -> Iterator[tuple[int, Senses]]:
        return ((i, item.senses) for i, item in enumerate(self._found) if i not in self._used)

    def _coloured_ground(self) -> str | None:
        """A colour beside the word "background", or behind "on" at the prompt's end."""
        for i, item in enumerate(self._found):
            if "ground" not in item.senses:
                continue
            near = [j for j in (i - 1, i + 1, i - 2) if 0 <= j < len(self._found) and "colour" in self._found[j].senses]
            self._used.add(i)
            if near:
                self._used.add(near[0])
                return self._found[near[0]].senses["colour"]
        if len(self._found) > 2 and "on" in self._found[-2].senses and "colour" in self._found[-1].senses:
            self._used |= {len(self._found) - 2, len(self._found) - 1}
            return self._found[-1].senses["colour"]
        return None

    @cached_property
    def _plain(self) -> bool:
        """Whether there is a thing that can be nothing else."""
        return any(i not in self._used and DRAWN & s.keys() and len(s) == 1 for i, s in self._senses())

    def _is_thing(self, at: int, item: Found) -> bool:
        senses = item.senses
        if at in self._used or not DRAWN & senses.keys():
            return False
        if "place" in senses:
            return not self._plain
        if {"colour", "side", "size"} & senses.keys():
            # "an orange" is a fruit, "an orange cat" is not.
            after = self._found[at + 1].senses if at + 1 < len(self._found) else {}
            before = self._found[at - 1].senses if at else {}
            return not (DRAWN & (before if self._behind else after).keys())
        return True

    def _things(self, at: list[int]) -> Iterator[Thing]:
        """The first things that fit, each with its number, size and colour."""
        room = MAX_THINGS
        for place, i in enumerate(at):
            if room == 0:
                return
            first = at[place - 1] + 1 if place else 0
            last = at[place + 1] if place + 1 < len(at) else len(self._found)
            before = [self._found[j].senses for j in range(first, i) if j not in self._used]
            after = [self._found[j].senses for j in range(i + 1, last) if j not in self._used]
            senses = self._found[i].senses
            number = next((int(s["number"]) for s in before if "number" in s), 2 if "things" in senses else 1)
            if self._behind:
                # What stands before the second thing is said of the first.
                nearest = after[:1] + before[::-1] * (place == 0)
            else:
                nearest = before[::-1] + after[:1] * (len(at) == 1)
            colour = next((s["colour"] for s in nearest if s.get("colour") in TINTS), None)
            size = next((s["size"] for s in nearest if "size" in s), None)
            count = min(number, room)
            room -= count
            label = senses.get("thing") or senses["things"]
            # "a red red apple" says it twice.
            colour = None if colour and label.startswith(colour) else colour
            yield Thing(label=label, count=count, colour=colour, size=size)

"""The words that limner-mini knows, in ten languages, and how a word that it does not know finds the nearest.

`limner/mini/words/*.json` are made by training/lexicon.py from Unicode CLDR's names and keywords and a table of ours.
A language is loaded when a prompt needs it; English comes first.
"""

import json
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "ru", "es", "fr", "de", "pt", "zh", "ja", "ar", "hi")
# What a known phrase can be: its senses, by kind. "things" is a plural.
Senses = dict[str, str]
# Letters of a stem's word after the stem, at most: "roj*" is not "rojigualda".
ENDING = 4
# An inflected word shares so much of the longer of the two; a word that is merely like another, so many letter triples.
INFLECTED, ALIKE = 0.6, 0.45
# Of a word that does not only go on where the other one ends.
ENDED = 0.75
_SAME = str.maketrans({"ى": "ي", "ة": "ه", "ـ": None} | {chr(kana): chr(kana - 0x60) for kana in range(0x30A1, 0x30F7)})
_ARABIC_PREFIXES = ("وال", "بال", "لل", "ال", "و", "ب")


def fold(text: str) -> str:
    """Without case, accents, Arabic vowel signs and letter forms, and all kana one; other scripts keep their signs."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c for c in plain if not ("\u0300" <= c <= "\u036f" or "\u064b" <= c <= "\u065f" or c == "\u0670"))
    return unicodedata.normalize("NFC", kept).translate(_SAME)


def split(text: str) -> list[str]:
    """Folded words. Marks belong to their word: in Hindi vowels are marks."""
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in fold(text)).split()


def unspaced(word: str) -> bool:
    """Whether it is Chinese or Japanese, which do not part words."""
    return any("\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" for c in word)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A phrase of a prompt."""

    # The words as they stood, folded.
    text: str
    # What it can mean; empty when nothing is known.
    senses: Senses = field(default_factory=Senses)


class Language:
    """The phrases of one language."""

    def __init__(self, code: str) -> None:
        self.code = code
        table: dict[str, Any] = json.loads(
            (files("limner") / "mini/words" / f"{code}.json").read_text(encoding="utf-8")
        )
        self._exact: dict[str, Senses] = table["exact"]
        self._stems: dict[str, Senses] = table["stems"]
        # Label -> how people say it, where that differs; English only.
        self.spoken: dict[str, str] = table.get("spoken", {})
        # Manner of drawing -> labels that the weights never saw in it; English only.
        self.unseen: dict[str, frozenset[str]] = {style: frozenset(of) for style, of in table.get("unseen", {}).items()}
        # Labels of what may look the other way; English only.
        self.mirrored: frozenset[str] = frozenset(table.get("mirrored", ()))
        self._longest = max(len(phrase.split()) for phrase in self._exact)

    def read(self, words: list[str]) -> list[Found]:
        """The longest known phrases, from left to right; unknown words as they are."""
        found: list[Found] = []
        at = 0
        while at < len(words):
            if unspaced(words[at]):
                found += self._unspaced(words[at])
                at += 1
                continue
            for count in range(min(self._longest, len(words) - at), 0, -1):
                phrase = " ".join(words[at : at + count])
                senses = self.senses(phrase)
                if senses or count == 1:
                    found.append(Found(text=phrase, senses=senses))
                    at += count
                    break
        return found

    def senses(self, phrase: str) -> Senses:
        """What exactly this phrase means, {} when it is not known."""
        if phrase in self._exact:
            return self._exact[phrase]
        for stem, senses in self._stems.items():
            if phrase.startswith(stem) and len(phrase) - len(stem) <= ENDING:
                return senses
        if self.code == "ar":
            for prefix in _ARABIC_PREFIXES:
                if phrase.startswith(prefix) and (rest := phrase.removeprefix(prefix)) in self._exact:
                    return self._exact[rest]
        return {}

    def inflected(self, word: str) -> Senses:
        """The meaning of the known word that has most of its beginning in common with this one."""
        best, share = "", INFLECTED
        for known in self._singles.get(word[:2], ()):
            common = 0
            for one, other in zip(word, known, strict=False):
                if one != other:
                    break
                common += 1
            now = common / max(len(word), len(known))
            # "shop" is not an inflected "shoe": in short words all but an ending must be the same.
            if common < min(len(word), len(known)) and now <= ENDED:
                continue
            if common >= 3 and (now > share or (now == share and len(known) < len(best))):
                best, share = known, now
        return self._exact[best] if best else {}

    def alike(self, word: str) -> tuple[float, Senses]:
        """The meaning of the thing whose name shares most letter triples with this word, and the share."""
        own = _triples(word)
        scored = (
            (_dice(own, _triples(name)), name)
            for names in self._singles.values()
            for name in names
            if self._thing(name)
        )
        share, name = max(scored, default=(0.0, ""))
        return (share, self._exact[name]) if share >= ALIKE else (0.0, {})

    def _thing(self, name: str) -> bool:
        return "thing" in self._exact[name]

    @cached_property
    def _singles(self) -> dict[str, list[str]]:
        """Single words of three letters and more that may be inflected, by their first two letters."""
        found: dict[str, list[str]] = {}
        for phrase, senses in self._exact.items():
            if " " not in phrase and len(phrase) > 2 and "fill" not in senses:
                found.setdefault(phrase[:2], []).append(phrase)
        return found

    def _unspaced(self, text: str) -> list[Found]:
        found: list[Found] = []
        at = 0
        while at < len(text):
            for count in range(min(10, len(text) - at), 0, -1):
                senses = self._exact.get(text[at : at + count], {})
                if senses or count == 1:
                    found.append(Found(text=text[at : at + count], senses=senses))
                    at += count
                    break
        return found


def _triples(word: str) -> frozenset[str]:
    padded = f" {word} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other))

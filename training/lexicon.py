"""Write src/limner/mini/words: what people call the things that limner-mini draws, in ten languages.

They are of what the weights of `checkpoint/` can draw. Names and keywords are Unicode CLDR's (`cldr-annotations-full`),
joined to the drawings by their characters; English has the words of everyday.txt besides. Colours, numbers and places
are in terms.toml.

    python lexicon.py
"""

import argparse
import json
import re
import tomllib
from collections import defaultdict
from pathlib import Path

from concepts import Concept, load_concepts, load_everyday
from data import icons_of
from limner.engines.mini_scene import COLOURS, MAX_THINGS, PLACES, plural
from limner.engines.mini_words import ENDING, LANGUAGES, fold, split, unspaced
from scenes import FAVOURITES
from text import labels_of

HERE = Path(__file__).parent
# What each phrase can be: its senses, by kind.
Phrases = dict[str, dict[str, str]]
# A keyword of more things than this names a kind ("animal"), not a thing.
SHARED = 4
# What parts CLDR's names: "Herz (Organ)".
PARTED = re.compile(r"[,،、:(（]")
# emojibase's groups.
FACES, SIGNS, FLAGS = 0, 8, 9
# Face, cat, heart, arrow and sign, in the languages that do not part words.
SPELT = ("脸", "顔", "猫", "心", "はーと", "矢印", "箭头", "まーく", "符号")
# What a flag of no country is drawn as.
FLAG = "triangular flag"
# Countries that have an article in English.
ARTICLE = re.compile(
    "^(United|U.S.|European|Vatican|Isle|British|French Southern)|(Islands|Republic|Territories|Netherlands)$|"
    "^(Philippines|Bahamas|Gambia|Maldives|Seychelles|Comoros)$"
)
# English labels that are said of anything.
VAGUE = ("plus", "minus", "multiply", "divide", "registered", "information", "prohibited")


def names_of(packages: Path, code: str, concepts: list[Concept]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Folded name -> label, and folded keyword -> labels."""
    path = packages / f"cldr-annotations-full/annotations/{code}/annotations.json"
    table = json.loads(path.read_text())["annotations"]["annotations"]
    names: dict[str, str] = {}
    keywords: dict[str, list[str]] = defaultdict(list)
    # Things first: a lion is the animal before it is the sign of the zodiac.
    for concept in sorted(concepts, key=lambda concept: not concept.common):
        row = table.get(concept.character) or table.get(concept.character + "\ufe0f")
        if row is None:
            continue
        told = row.get("tts", [])
        for name in _phrases(told) if concept.common else _whole(told, concept, code):
            names.setdefault(name, concept.label)
        for keyword in _phrases(row.get("default", [])) if concept.common else ():
            if concept.label not in keywords[keyword]:
                keywords[keyword].append(concept.label)
    return names, keywords


def countries_of(packages: Path, code: str, concepts: list[Concept]) -> dict[str, str]:
    """Label of a flag -> its country as CLDR writes it: "France"."""
    path = packages / f"cldr-annotations-derived-full/annotationsDerived/{code}/annotations.json"
    table = json.loads(path.read_text())["annotationsDerived"]["annotations"]
    # "flag: Myanmar (Burma)"
    told = {c.label: table.get(c.character, {}).get("tts", []) for c in concepts if c.group == FLAGS}
    return {label: PARTED.split(text)[1].strip() for label, texts in told.items() for text in texts[:1]}


def flag_of(country: str) -> str:
    return f"flag of {'the ' if ARTICLE.search(country) else ''}{country}"


def _phrases(texts: list[str]) -> list[str]:
    parts = [part for text in texts for part in PARTED.split(text)]
    folded = [" ".join(split(part)) for part in parts]
    return [f.replace(" ", "") if unspaced(f) else f for f in folded if len(f) > 1 or unspaced(f)]


def _whole(texts: list[str], concept: Concept, code: str) -> list[str]:
    """Whole names only. Those of faces and signs are often verbs, or said of anything: "спит", "mal", "plus"."""
    whole = _phrases([text for text in texts if not PARTED.search(text)])
    if concept.group not in (FACES, SIGNS):
        return whole
    return [name for name in whole if " " in name or any(part in name for part in SPELT) or code == "en"]


def owner(keyword: str, labels: list[str], names: dict[str, str], everyday: set[str]) -> str | None:
    """Whom a keyword names: the only thing that has it, a favourite, an everyday thing so called, or the plainest."""
    if len(labels) == 1:
        return labels[0]
    favourite = [label for label in labels if label in FAVOURITES]
    if len(favourite) == 1:
        return favourite[0]
    named = [(len(name), label) for name, label in names.items() if label in labels and keyword in name]
    common = sorted(pair for pair in named if pair[1] in everyday)
    if common:
        return common[0][1]
    return min(labels, key=len) if len(labels) <= SHARED else None


def terms_of(table: dict) -> tuple[Phrases, Phrases]:
    """Exact phrases and stems of terms.toml with their senses."""
    exact: dict[str, dict[str, str]] = defaultdict(dict)
    stems: dict[str, dict[str, str]] = {}
    rows = [("colour", c, w) for c in COLOURS for w in table["colours"].get(c, [])]
    rows += [("place", p, w) for p in PLACES for w in table["places"][p]]
    for kind, many in (("number", "numbers"), ("size", "sizes"), ("side", "sides"), ("style", "styles")):
        rows += [(kind, value, word) for value, words in table[many].items() for word in words]
    rows += [("number", str(number), str(number)) for number in range(2, MAX_THINGS + 1)]
    rows += [(kind, kind, word) for kind in ("ground", "on", "under", "flag", "fill") for word in table[kind]]
    rows += [("country", f"{country} flag", word) for country, words in table["countries"].items() for word in words]
    for kind, value, word in rows:
        if word.endswith("*"):
            stems[fold(word[:-1])] = {kind: value}
        else:
            phrase = " ".join(split(word))
            exact[phrase.replace(" ", "") if unspaced(phrase) else phrase].setdefault(kind, value)
    return exact, stems


def lexicon(packages: Path, code: str, known: frozenset[str]) -> dict:
    """`known`: labels that the weights can draw."""
    concepts = [concept for concept in load_concepts(packages) if concept.label in known]
    table = tomllib.loads((HERE / "terms.toml").read_text())[code]
    exact, stems = terms_of(table)
    names, keywords = names_of(packages, code, concepts)
    countries = countries_of(packages, code, concepts)
    lands = {phrase: label for label, country in countries.items() for phrase in _phrases([country])}
    if code == "en":
        names = in_english(names, concepts, lands)
    extra = {label: words for label, words in table.get("things", {}).items() if label in known}
    names |= {" ".join(split(word)): label for label, words in extra.items() for word in words}
    add_things(exact, names, several=code == "en")
    add_flags(exact, stems, lands, known)
    add_keywords(exact, stems, owned(keywords, names))
    whole: dict = {}
    if code == "en":
        whole = {
            "spoken": table["spoken"] | {label: flag_of(country) for label, country in countries.items()},
            "unseen": unseen(packages, concepts),
            "mirrored": [c.label for c in concepts if c.kind in table["mirrored"] and c.label not in table["written"]],
        }
    return whole | {
        "exact": {phrase: senses for phrase, senses in sorted(exact.items()) if senses and phrase},
        "stems": {stem: senses for stem, senses in stems.items() if senses},
    }


def add_things(exact: Phrases, names: dict[str, str], *, several: bool) -> None:
    """Names, and their plurals where `several`."""
    for phrase, label in names.items():
        # A word that only fills, or that is a number, a size or a style, is no thing.
        if not {"fill", "number", "on", "under", "style", "size"} & exact[phrase].keys():
            exact[phrase]["thing"] = label
    for phrase in names if several else ():
        if plural(phrase) not in names:
            exact[plural(phrase)].setdefault("things", names[phrase])


def add_flags(exact: Phrases, stems: Phrases, lands: dict[str, str], known: frozenset[str]) -> None:
    """Countries, and what a flag without one is."""
    for senses in [*exact.values(), *stems.values()]:
        if "flag" in senses and FLAG in known:
            senses.setdefault("thing", FLAG)
        if senses.get("country", "") not in known:
            senses.pop("country", None)
    for phrase, label in lands.items():
        if not {"fill", "place"} & exact[phrase].keys():
            exact[phrase].setdefault("country", label)


def add_keywords(exact: Phrases, stems: Phrases, keywords: dict[str, str]) -> None:
    """What nothing else has claimed."""
    for keyword, label in keywords.items():
        stemmed = any(keyword.startswith(stem) and len(keyword) - len(stem) <= ENDING for stem in stems)
        if not exact[keyword] and not stemmed:
            exact[keyword]["thing"] = label


def in_english(names: dict[str, str], concepts: list[Concept], lands: dict[str, str]) -> dict[str, str]:
    """CLDR's `names`, and labels, everyday words and rare keywords besides."""
    names = {" ".join(split(c.label)): c.label for c in concepts} | names
    names = {name: label for name, label in names.items() if name not in VAGUE}
    singular = [*names, *(word for words in load_everyday().values() for word in words)]
    several = {plural(name) for name in singular if plural(name) != name}
    said = {" ".join(split(w)): c.label for c in concepts for w in c.names if w.split()[0] not in COLOURS}
    # "Japan" is not a map, it is a flag.
    said = {word: label for word, label in said.items() if word not in lands}
    return {name: label for name, label in (said | names).items() if name not in several or name in said.values()}


def owned(keywords: dict[str, list[str]], names: dict[str, str]) -> dict[str, str]:
    """Keyword -> the label that it names."""
    everyday = {label.lower() for label in load_everyday()}
    found = {keyword: owner(keyword, labels, names, everyday) for keyword, labels in keywords.items()}
    return {keyword: label for keyword, label in found.items() if label}


def unseen(packages: Path, concepts: list[Concept]) -> dict[str, list[str]]:
    """Style -> labels that no caption had in it (data.py: the first drawing of a thing is the one of a bare prompt)."""
    flat, solid = (icons_of(packages, icon_set) for icon_set in ("fluent-emoji-flat", "fluent-emoji"))
    return {
        "3d": [c.label for c in concepts if c.code not in solid],
        "cartoon": [c.label for c in concepts if not c.common or c.code not in flat],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, default=HERE / "node_modules")
    parser.add_argument("--words", type=Path, default=HERE.parent / "src/limner/mini/words")
    parser.add_argument("--checkpoint", type=Path, default=HERE / "checkpoint", help="whose words")
    args = parser.parse_args()
    known = labels_of(args.checkpoint)
    args.words.mkdir(parents=True, exist_ok=True)
    for code in LANGUAGES:
        table = lexicon(args.packages, code, known)
        text = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
        (args.words / f"{code}.json").write_text(text + "\n", encoding="utf-8")
        print(code, len(table["exact"]), "phrases", len(text), "characters")


if __name__ == "__main__":
    main()

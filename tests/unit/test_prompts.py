"""What limner-mini takes a prompt for."""

import pytest

from limner.engines.mini_prompt import Reader
from limner.engines.mini_scene import COLOURS, PLACES, Scene, Thing
from limner.engines.mini_words import LANGUAGES, Language


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def understood(reader: Reader, prompt: str) -> str | None:
    scene = reader.read(prompt)
    return reader.spoken(scene) if scene else None


@pytest.mark.parametrize(
    ("prompt", "meaning"),
    [
        ("a cat", "a cat"),
        ("A CAT!", "a cat"),
        ("hello world user", "a waving hand, a globe and a person"),
        ("a kitty", "a cat"),
        ("catz", "a cat"),
        ("elefant", "an elephant"),
        ("two cats on a green background", "two cats on a green background"),
        ("cats", "two cats"),
        ("seven cats", "seven cats"),
        ("5 cats", "five cats"),
        ("a dozen eggs", "nine eggs"),
        ("three cups of coffee", "three cups of coffee"),
        ("two unicorns and a unicorn", "two unicorns and a unicorn"),
        ("a cat, 3D render", "a cat, 3d"),
        ("a cartoon dog on a red background", "a dog on a red background, cartoon"),
        ("flat vector icon of a house", "a house, flat"),
        ("a cat and a dog", "a cat and a dog"),
        ("a cat on a chair", "a cat on a chair"),
        ("a bird under an umbrella", "an umbrella on a bird"),
        ("a red car and a blue house", "a red car and a blue house"),
        ("two green birds", "two green birds"),
        ("a small cat and a big dog", "a small cat and a big dog"),
        ("a cat on blue", "a cat on a blue background"),
        ("a red car", "a red car"),
        ("a red apple", "a red apple"),
        ("a small robot on the left", "a small robot on the left"),
        ("a beach", "a beach"),
        ("a dog on the beach", "a dog on the beach"),
        ("three birds in the sky", "three birds in the sky"),
        ("a photo of an astronaut riding a horse, highly detailed, 4k", "an astronaut and a horse"),
        ("a red apple, a banana, a pear and a lemon", "a red apple, a banana, a pear and a lemon"),
        ("blockchain synergy", None),
        ("!!!", None),
        ("", None),
    ],
)
def test_english(reader: Reader, prompt: str, meaning: str | None) -> None:
    assert understood(reader, prompt) == meaning


@pytest.mark.parametrize(
    ("prompt", "meaning"),
    [
        ("нарисуй красную машину на синем фоне", "a red car on a blue background"),
        ("две кошки", "two cats"),
        ("кот и собака", "a cat and a dog"),
        ("un gato negro y un perro", "a black cat and a dog"),
        ("un gato y un perro blanco", "a cat and a white dog"),
        ("un gato negro sobre fondo azul", "a black cat on a blue background"),
        ("un chat et un chien", "a cat and a dog"),
        ("une voiture rouge", "a red car"),
        ("eine Katze und ein Hund im Schnee", "a cat and a dog in the snow"),
        ("um gato na praia", "a cat on the beach"),
        ("一只猫和一只狗", "a cat and a dog"),
        ("两只猫", "two cats"),
        ("赤いリンゴ", "a red apple"),
        ("夜の猫", "a cat at night"),
        ("سيارة حمراء", "a red car"),
        ("قطة وكلب", "a cat and a dog"),
        ("लाल कार", "a red car"),
        ("बिल्ली और कुत्ता", "a cat and a dog"),
    ],
)
def test_other_languages(reader: Reader, prompt: str, meaning: str) -> None:
    assert understood(reader, prompt) == meaning


@pytest.mark.parametrize(
    ("prompt", "meaning"),
    [
        ("the flag of France", "a flag of France"),
        ("a big German flag on grass", "a big flag of Germany on grass"),
        ("flags of Brazil and Argentina", "a flag of Brazil and a flag of Argentina"),
        ("two Japan flags", "two flags of Japan"),
        ("USA flag", "a flag of the United States"),
        ("flag of Turkey", "a flag of Türkiye"),
        ("флаг Франции", "a flag of France"),
        ("bandera de España", "a flag of Spain"),
        ("le drapeau allemand", "a flag of Germany"),
        ("Flagge von Japan", "a flag of Japan"),
        ("bandeira do Brasil", "a flag of Brazil"),
        ("法国国旗", "a flag of France"),
        ("日本の国旗", "a flag of Japan"),
        ("علم فرنسا", "a flag of France"),
        ("भारत का झंडा", "a flag of India"),
        # Nothing else is asked for.
        ("Ukraine", "a flag of Ukraine"),
        # Where something is, a country is only where it stands, and a bird is a bird.
        ("a cat in Japan", "a cat"),
        ("a turkey", "a turkey"),
        ("french fries", "a portion of fries"),
        ("a red flag", "a red triangular flag"),
        ("a white flag", "a white flag"),
    ],
)
def test_countries_are_flags(reader: Reader, prompt: str, meaning: str) -> None:
    assert understood(reader, prompt) == meaning


# What people of each language say for twelve everyday things.
EVERYDAY = {
    "cat dog house car tree bird fish horse banana rocket guitar pizza": (
        "cat dog house car tree bird fish horse banana rocket guitar pizza",
        "кот собака дом машина дерево птица рыба лошадь банан ракета гитара пицца",
        "gato perro casa coche árbol pájaro pez caballo plátano cohete guitarra pizza",
        "chat chien maison voiture arbre oiseau poisson cheval banane fusée guitare pizza",
        "Katze Hund Haus Auto Baum Vogel Fisch Pferd Banane Rakete Gitarre Pizza",
        "gato cachorro casa carro árvore pássaro peixe cavalo banana foguete violão pizza",
        "猫 狗 房子 汽车 树 鸟 鱼 马 香蕉 火箭 吉他 披萨",
        "猫 犬 家 車 木 鳥 魚 馬 バナナ ロケット ギター ピザ",
        "قطة كلب منزل سيارة شجرة طائر سمكة حصان موز صاروخ غيتار بيتزا",
        "बिल्ली कुत्ता घर कार पेड़ पक्षी मछली घोड़ा केला रॉकेट गिटार पिज़्ज़ा",
    )
}


@pytest.mark.parametrize("language", range(len(LANGUAGES)), ids=LANGUAGES)
def test_everyday_things_in_ten_languages(reader: Reader, language: int) -> None:
    ((english, lines),) = EVERYDAY.items()
    wanted = dict(zip(lines[language].split(), english.split(), strict=True))
    wrong = {
        word: understood(reader, word)
        for word, thing in wanted.items()
        if thing not in (understood(reader, word) or "")
    }
    assert not wrong


FLAT_CATS = (
    "a flat cat",
    "плоский кот",
    "un gato plano",
    "un chat, design plat",
    "eine flache Katze",
    "扁平 猫",
    "قطة 2d",
)


@pytest.mark.parametrize("prompt", FLAT_CATS)
def test_flat_can_be_asked_for(reader: Reader, prompt: str) -> None:
    assert understood(reader, prompt) == "a cat, flat"


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_of_the_ground(reader: Reader, colour: str) -> None:
    assert (understood(reader, f"a cat on a {colour} background") or "").endswith(f"{colour} background")


@pytest.mark.parametrize("place", PLACES)
def test_every_place(reader: Reader, place: str) -> None:
    assert understood(reader, f"a cat {PLACES[place]}") == f"a cat {PLACES[place]}"


def test_what_was_understood_is_understood_again(reader: Reader) -> None:
    """revised_prompt, sent back, means the same."""
    for prompt in ("два кота на пляже", "a small red car", "hello world user", "un perro a la izquierda", "ocean"):
        scene = reader.read(prompt)
        assert scene is not None
        assert reader.read(reader.spoken(scene)) == scene


def test_every_thing_is_read_again_in_the_words_in_which_it_is_told(reader: Reader) -> None:
    """`revised_prompt`, asked for again, is the same picture."""
    english = Language("en")
    kinds = ("thing", "country")
    labels = {senses[kind] for senses in english._exact.values() for kind in kinds if kind in senses}
    scenes = [Scene(things=(Thing(label=label),)) for label in sorted(labels)]
    assert len(scenes) > 1600
    assert [scene for scene in scenes if reader.read(reader.spoken(scene)) != scene] == []


def test_a_cartoon_of_what_was_never_drawn_as_one_is_not_promised() -> None:
    reader = Reader()
    reader._language("en").unseen = {"cartoon": frozenset({"dog"})}
    assert understood(reader, "a cartoon cat") == "a cat, cartoon"
    assert understood(reader, "a cartoon dog") == "a dog, flat"
    # All in one manner.
    assert understood(reader, "a cartoon cat and a dog") == "a cat and a dog, flat"
    assert understood(reader, "a 3d dog") == "a dog, 3d"

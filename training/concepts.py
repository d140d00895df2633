"""Which things limner-mini learns to draw, and what people call them.

The names come from emojibase-data (MIT): every drawing of the icon sets is joined to its label and keywords
by its code points. `EVERYDAY` adds the short words that people type ("car", "tree") and that the labels miss.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# emojibase groups 3-7: animals and nature, food, travel and places, activities, objects.
GROUPS = (3, 4, 5, 6, 7)

# Near-duplicates and signs that cost capacity and that nobody asks for by name.
SKIP = re.compile(
    r"o’clock|-thirty|moon face|quarter moon|gibbous|waning|new moon|oncoming|clinking|mailbox with|speaker|"
    r"electrical|with arrow|increasing|decreasing|banknote|medal|locked with|mouse trap|tray|card index|"
    r"page |bookmark|ledger|disk|videocassette|pager|fax|trackball|level slider|control knobs|muted|"
    r"globe showing (Americas|Asia)|sun behind (small|large)|umbrella (with|on)|closed umbrella|"
    r"without snow|derelict|convenience store|love hotel|department|Japanese post|kaaba|hindu|synagogue|"
    r"two-hump|guide dog|service dog|front-facing|baby chick|^ewe$|^ram$|^ox$|water buffalo|boar|badger|"
    r"suspension railway|aerial tramway|mountain railway|tram car|light rail|station|monorail|trolleybus|"
    r"minibus|timer clock|not done|departure|arrival|landslide|bookmark|label|admission|reminder ribbon|"
    r"tanabata|pine decoration|moon viewing|carp|softball|rugby|cricket game|field hockey|lacrosse|"
    r"diamond suit|club suit|spade suit|heart suit|flower playing|mahjong|joker|musical notes|"
    r"camera with flash|tilted right|rolled-up|orange book|green book|notebook$|notebook with|spiral|tear-off|"
    r"e-mail|incoming|hammer and|carpentry saw$|fountain pen|linked|round pushpin|open file|broken chain|"
    r"funeral|nazar|hamsa|placard|identification|prayer beads|oil drum|construction$|motorway|bus stop|"
    r"briefs|sari|clutch|ballet|flat shoe|thong|woman’s sandal|man’s shoe|safety vest|one-piece|rescue|"
    r"canned|rice cracker|fish cake|moon cake|oden|fondue|shallow|tamale|stuffed|root vegetable|ginger|"
    r"mate$|amphora|^jar$|pouring|tumbler|takeout|custard|cut of meat|leafless|empty nest|^herb$|sheaf|"
    r"hyacinth|wilted|lotus|rosette|leaf fluttering|fallen leaf|microbe|oyster|orca|dodo|^wing$|sauropod|"
    r"white cane|elevator|plunger|lotion|safety pin|x-ray|petri|^hook$|clamp|nut and bolt|video camera|"
    r"film frames|mobile phone with|telephone receiver|electric plug|low battery|sport utility|manual wheelchair|"
    r"auto rickshaw|kick scooter|horizontal traffic|railway track|^wheel$|motor boat|passenger ship|small airplane|"
    r"sunrise$|cityscape at dusk|houses|hut|house with|red envelope|Japanese dolls|martial|goal net|firecracker|"
    r"long drum|postal horn|flat ?bread|falafel|falling|bell with slash|bed and|wastebasket|ballot|chains|lacrosse"
)

# People, faces and symbols that are worth their place although their groups are left out.
EXTRA = [
    "robot",
    "alien",
    "ghost",
    "skull",
    "alien monster",
    "pile of poo",
    "clown face",
    "grinning face",
    "smiling face with sunglasses",
    "crying face",
    "angry face",
    "thinking face",
    "red heart",
    "broken heart",
    "waving hand",
    "thumbs up",
    "ear",
    "eye",
    "nose",
    "mouth",
    "brain",
    "tooth",
    "bone",
    "footprints",
    "bust in silhouette",
    "person",
    "man",
    "woman",
    "boy",
    "girl",
    "baby",
    "old man",
    "princess",
    "mage",
    "fairy",
    "mermaid",
    "ninja",
    "astronaut",
    "cook",
    "farmer",
    "artist",
    "police officer",
    "vampire",
    "zombie",
    "genie",
    "elf",
    "Santa Claus",
    "snowboarder",
    "person surfing",
    "person biking",
    "blue heart",
    "green heart",
    "yellow heart",
    "purple heart",
    "recycling symbol",
    "peace symbol",
    "yin yang",
    "speech balloon",
    "hundred points",
    "collision",
    "kiss mark",
    "flexed biceps",
    "check mark",
]

# What people say -> the label that draws it. Left of "=" the label, right of it the words.
EVERYDAY = """
waving hand=hello,hi,hand,wave,goodbye,welcome; globe showing Europe-Africa=world,earth,globe,planet earth,planet
bust in silhouette=profile,account; person=human,somebody,user; man=guy,dad; woman=lady,mom; boy=kid; girl=daughter
automobile=car,auto,red car; deciduous tree=tree,green tree; evergreen tree=pine tree,fir; red apple=apple
bicycle=bike; airplane=plane,jet,aeroplane; sailboat=boat,yacht; hamburger=burger,cheeseburger; french fries=fries,chips
hot beverage=coffee,tea,cup of coffee,cup; beer mug=beer; wine glass=wine; glass of milk=milk; doughnut=donut
couch and lamp=sofa,couch; television=tv; mobile phone=phone,smartphone; laptop=computer; desktop computer=monitor,pc
red heart=heart,love; wrapped gift=gift,present; birthday cake=cake; soft ice cream=soft serve; cheese wedge=cheese
egg=eggs; snow-capped mountain=snowy mountain; beach with umbrella=beach; desert island=island; fire=flame,campfire
sun=sunshine; crescent moon=moon; ringed planet=saturn; droplet=water drop,drop; water wave=wave,ocean,sea
cloud with rain=rain; cloud with snow=snow; cloud with lightning=thunder; high voltage=lightning,bolt
rose=red rose; blossom=flower,daisy; potted plant=plant; maple leaf=leaf; mushroom=toadstool,red mushroom
cat=kitty,kitten; dog=puppy,doggy; lady beetle=ladybug,ladybird; honeybee=bee
spouting whale=big whale; T-Rex=dinosaur,tyrannosaurus; mouse=rat mouse
chicken=hen; hatching chick=chick; pig=piglet; rabbit=bunny,hare; bear=brown bear,teddy; tropical fish=clownfish
bellhop bell=service bell; alarm clock=clock; mantelpiece clock=old clock; light bulb=bulb,lamp,idea; candle=candles
closed book=book,red book; books=stack of books; necktie=tie; t-shirt=shirt; jeans=pants,trousers; billed cap=cap
top hat=hat; running shoe=shoe,sneaker,trainers; high-heeled shoe=heels; gem stone=diamond,gem,jewel; ring=diamond ring
crown=king,queen; musical note=music,note; headphone=headphones; guitar=acoustic guitar; violin=fiddle
soccer ball=football ball,soccer,ball; american football=football; trophy=cup trophy; bullseye=target,dart board
video game=gamepad,controller; game die=dice; artist palette=palette,paint; framed picture=painting,picture
bed=bedroom; door=brown door; toilet=bathroom; bathtub=bath; key=gold key; locked=lock,padlock; unlocked=open lock
kitchen knife=knife; fork and knife=cutlery; pencil=yellow pencil; memo=writing,text; envelope=letter,mail
package=box,parcel; magnifying glass tilted left=magnifying glass,search; gear=settings,cog; bomb=black bomb
crossed swords=swords,sword; bow and arrow=bow,archery; shield=armor; syringe=injection; pill=medicine
fire engine=fire truck; police car=cop car; taxi=cab; locomotive=steam train; delivery truck=truck,lorry
motorcycle=motorbike; flying saucer=ufo; office building=building,skyscraper; castle=fortress; tent=camp
camping=campsite; national park=park; cityscape=city; night with stars=night,night sky; sunset=dusk; rainbow=rainbow arc
alien monster=space invader; smiling face with sunglasses=cool face; grinning face=smile,smiling face,happy face,face
crying face=sad face; astronaut=spaceman; mage=wizard,magician; police officer=cop,policeman; cook=chef
Santa Claus=santa,father christmas; collision=explosion,boom; Christmas tree=xmas tree; jack-o-lantern=pumpkin,halloween
poodle=corgi,labrador,retriever,golden retriever,husky,bulldog,beagle,dachshund,chihuahua,terrier,shiba,pug,hound
cat=siamese,siamese cat,persian cat,tabby; horse=pony,stallion,foal,mare; leopard=cheetah,jaguar,puma,panther
wolf=coyote,jackal; monkey=ape,baboon; gorilla=king kong; deer=stag,reindeer,antelope,gazelle; bison=buffalo,yak
lizard=iguana,gecko,chameleon,salamander; snake=python,cobra; crocodile=alligator; dragon=wyvern; seal=walrus,sea lion
bird=sparrow,robin,finch; black bird=crow,raven; eagle=hawk,falcon,vulture; rooster=cock; goose=geese
fish=salmon,trout,tuna,carp; tropical fish=goldfish,angelfish; shark=great white; lobster=crayfish; shrimp=prawn
bug=insect,caterpillar; cricket=grasshopper,locust; blossom=daisy,lily,orchid,poppy; hibiscus=tropical flower
deciduous tree=oak,maple tree,apple tree,willow; evergreen tree=spruce,christmas fir; four leaf clover=clover
automobile=sedan,suv,vehicle,ferrari,tesla,porsche,jeep,van; racing car=race car,sports car,formula 1
articulated lorry=semi truck,semi; ship=cruise ship,titanic,battleship; canoe=kayak,rowing boat; sailboat=sailing ship
rocket=spaceship,spacecraft,starship,space shuttle; flying saucer=alien spaceship; airplane=airliner,fighter jet
house=cottage,cabin,villa,mansion,hut,home,barn; castle=palace; office building=tower block,skyscrapers; church=chapel
mountain=hill,mountains,cliff; desert=sand dunes; cityscape=skyline,town,street; national park=landscape,scenery
water wave=waves,waterfall; spaghetti=pasta,noodles; steaming bowl=ramen,soup,noodle soup; meat on bone=steak,meat
poultry leg=fried chicken,drumstick; cup with straw=soda,lemonade,juice; tropical drink=smoothie; cocktail glass=martini
bread=loaf,toast; cheese wedge=parmesan; chocolate bar=chocolate; tangerine=mandarin,clementine; blueberries=berries
mage=witch,sorcerer,magic user; princess=lady in a dress; person=people,child,face of a person; old man=grandfather
woman=mother,girlfriend,wife; man=father,boyfriend,husband,gentleman; woman’s hat=sun hat; crossed swords=katana
dagger=knife blade; axe=hatchet; guitar=ukulele,electric guitar,bass guitar; violin=cello,viola; drum=drums,drum kit
saxophone=sax; trumpet=bugle,horn; microphone=mic; camera=dslr,photo camera; headphone=headset,earphones
laptop=macbook,notebook computer; mobile phone=iphone,android phone; coat=jacket,hoodie; t-shirt=tshirt; dress=gown
running shoe=sneakers,boots; glasses=spectacles; watch=wristwatch; gem stone=ruby,emerald,sapphire,crystal
books=library,bookshelf; memo=document,paper; letter=post; scroll=parchment; crown=tiara; robot=android,cyborg
ghost=spirit; alien=martian,extraterrestrial; skull=skeleton; t-rex=dino,raptor; unicorn=pegasus; mermaid=siren
soccer ball=goal,ball; chess pawn=chess; teddy bear=plush toy,stuffed animal; jack-o-lantern=jack o lantern
""".replace("\n", ";")


@dataclass(frozen=True, kw_only=True)
class Concept:
    # Lower-case label, the name the judge uses: "cat".
    label: str
    # Unicode code points as the icon sets write them, lower case, without variation selectors: "1f408".
    code: str
    # Other words for it, most wanted first.
    names: tuple[str, ...]
    # Whether the model is shown it: a line of taught.txt. The tokenizer has a place for the others.
    taught: bool


def load_concepts(packages: Path) -> list[Concept]:
    """The concepts, in a fixed order. `packages`: node_modules of training/package.json."""
    rows = json.loads((packages / "emojibase-data/en/data.json").read_text())
    everyday = load_everyday()
    kept = [row for row in rows if _wanted(row)]
    labels = {row["label"].lower() for row in kept}
    taken = labels | {w for words in everyday.values() for w in words}
    # A keyword that several concepts share ("animal", "food") names none of them.
    uses = Counter(t for row in kept for t in row.get("tags", []))
    taught = set((Path(__file__).parent / "taught.txt").read_text().splitlines())
    out = []
    for row in kept:
        label = row["label"]
        tags = [t for t in row.get("tags", []) if t not in taken and t.isascii() and uses[t] == 1][:4]
        code = "-".join(c for c in row["hexcode"].lower().split("-") if c != "fe0f")
        names = tuple(everyday.get(label, [])) + tuple(tags)
        out.append(Concept(label=label.lower(), code=code, names=names, taught=label.lower() in taught))
    return out


def load_everyday() -> dict[str, list[str]]:
    """Label -> what people say for it."""
    said: dict[str, list[str]] = {}
    for label, _, words in (part.partition("=") for part in EVERYDAY.split(";") if "=" in part):
        said.setdefault(label.strip(), []).extend(word.strip() for word in words.split(","))
    return said


def _wanted(row: dict) -> bool:
    if row["label"] in EXTRA:
        return True
    return row.get("group") in GROUPS and not SKIP.search(row["label"])

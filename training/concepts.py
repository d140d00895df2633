"""Which things limner-mini learns to draw, and what people call them.

The names come from emojibase-data (MIT): every drawing of the icon sets is joined to its label and keywords
by its code points. `EVERYDAY` adds the short words that people type ("car", "tree") and that the labels miss.
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
    r"lowered flag|:|facing right|\(blood type\)|Japanese “|medium-small|medium square|(CL|NG|P|O|ID|VS|UP!) button|circled M|"
    r"input |small (blue|orange) diamond|part alternation|double curly|white square button|black small|white small|"
    r"(leftwards|rightwards) (hand|pushing)|palm (up|down)|(left|right)-facing|pointing at the viewer|middle finger|"
    r"(man|woman|men|women) (frowning|pouting|gesturing|tipping|raising|getting|with white|in steamy|bouncing|"
    r"cartwheeling|wrestling|playing|juggling|feeding|mountain|kneeling|in motorized|in manual|with bunny|guard|genie|"
    r"factory|bowing|with veil|fencing|standing)|(men|women) wrestling|bunny ears|deaf (man|woman)|"
    r"pregnant (man|person)|(man|woman) (fairy|zombie|elf|vampire)|head shaking|dotted line|face without|left speech|right anger|"
    r"eye in speech|dotted six|Ophiuchus|squinting face with|kissing face with|(women|men) holding"
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
musical note=music,note; headphone=headphones; guitar=acoustic guitar; violin=fiddle
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
mage=witch,sorcerer,magic user; princess=lady in a dress; person=people,face of a person; old man=grandfather,grandpa
woman=mother,girlfriend,wife; man=father,boyfriend,husband,gentleman; woman’s hat=sun hat; crossed swords=katana
dagger=knife blade; axe=hatchet; guitar=ukulele,electric guitar,bass guitar; violin=cello,viola; drum=drums,drum kit
saxophone=sax; trumpet=bugle,horn; microphone=mic; camera=dslr,photo camera; headphone=headset,earphones
laptop=macbook,notebook computer; mobile phone=iphone,android phone; coat=jacket,hoodie; t-shirt=tshirt; dress=gown
running shoe=sneakers,boots; glasses=spectacles; watch=wristwatch; gem stone=ruby,emerald,sapphire,crystal
books=library,bookshelf; memo=document,paper; envelope=post; scroll=parchment; crown=tiara; robot=android,cyborg
ghost=spirit; alien=martian,extraterrestrial; skull=skeleton; t-rex=dino,raptor; unicorn=pegasus; mermaid=siren
soccer ball=goal,ball; chess pawn=chess; teddy bear=plush toy,stuffed animal; jack-o-lantern=jack o lantern
health worker=doctor,medic,surgeon; woman health worker=nurse,female doctor; man health worker=male doctor
student=pupil,graduate; woman teacher=female teacher; scientist=chemist,researcher; woman scientist=female scientist
technologist=programmer,developer,coder,hacker; office worker=businessman,manager,boss; mechanic=plumber,engineer
woman office worker=businesswoman; construction worker=builder,workman; firefighter=fireman; guard=royal guard
detective=spy,sherlock holmes; singer=rock star,pop star; woman singer=female singer; person in tuxedo=groom
person with veil=bride; superhero=hero,superman; supervillain=villain; woman superhero=superwoman,wonder woman
person running=runner,jogger; person swimming=swimmer; person surfing=surfer; person biking=cyclist,biker
person climbing=climber; person golfing=golfer; skier=skiing; person lifting weights=weightlifter,bodybuilder
person in lotus position=yoga,meditation,buddha; woman dancing=dancer,female dancer,flamenco; man dancing=male dancer
person rowing boat=rower; person fencing=fencer; person juggling=juggler; horse racing=jockey
woman running=female runner; old woman=grandmother,granny,grandma; older person=elderly person; merperson=merman; prince=young prince
person with crown=king; family=parents; couple with heart=couple,lovers; kiss=kissing couple; child=toddler
baby angel=angel,cherub; troll=ogre troll; goblin=tengu; ogre=oni; person walking=walker,pedestrian
smiling face with heart-eyes=heart eyes; face with tears of joy=laughing face,lol; sleeping face=sleepy face
folded hands=prayer,praying hands; clapping hands=applause; handshake=deal; victory hand=peace sign; raised fist=fist
eyes=pair of eyes; anatomical heart=human heart; up arrow=arrow up; right arrow=arrow,arrow right; down arrow=arrow down
left arrow=arrow left; red question mark=question mark; red exclamation mark=exclamation mark; cross mark=cross,x mark
warning=warning sign; no entry=no entry sign; play button=play; heavy dollar sign=dollar sign,dollar; plus=plus sign
star of david=jewish star; latin cross=christian cross; red circle=circle; red square=square; 
large orange diamond=diamond shape; red triangle pointed up=triangle; atom symbol=atom; radioactive=nuclear; musical keyboard=piano,synthesizer
keyboard=computer keyboard; floppy disk=save icon; wastebasket=trash can,rubbish bin,bin; spiral calendar=planner
sport utility vehicle=suv; motor boat=speedboat; passenger ship=cruise liner; small airplane=propeller plane
hut=shack; houses=village; sunrise=dawn; baby chick=little chick; ox=bull; two-hump camel=bactrian camel
dollar banknote=money,cash,dollar bill; chart increasing=graph,growth; clipboard=checklist; video camera=camcorder
closed mailbox with raised flag=mailbox; flatbread=naan; shallow pan of food=paella; takeout box=chinese takeout
leafless tree=bare tree,dead tree; fallen leaf=autumn leaf; wheel=tyre,tire; wind face=wind
""".replace("\n", ";")


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
    """Label -> what people say for it."""
    said: dict[str, list[str]] = {}
    for label, _, words in (part.partition("=") for part in EVERYDAY.split(";") if "=" in part):
        said.setdefault(label.strip(), []).extend(word.strip() for word in words.split(","))
    return said


def _wanted(row: dict) -> bool:
    return row["label"] in PLAIN or (row.get("group") in (*THINGS, *OTHERS) and not SKIP.search(row["label"]))

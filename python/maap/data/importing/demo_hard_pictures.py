"""What the harder demo set is drawn of: 102 animals, and the clutter on the photographs.

Left out of the package's animals are drawings, and second pictures of one animal.
"""

from maap.data.importing.demo_pictures import Look

NOTE = (
    "The harder demo set shows 100 animals, birds beside birds and cattle beside cattle, at about "
    "5 to 60% of the image, among fruit, flowers and tools on photographs; every class is one "
    "cut-out, and training and test images use different photographs and clutter. It shows "
    "localisation and robustness to size, place and background; it says nothing about CUB "
    "accuracy: it has no variety of pose or of individuals."
)
LOOK = Look(area=(0.05, 0.6), turn=25.0, light=0.3, colour=0.1, pieces=(3, 8), piece=(0.1, 0.35))


def _paths(folders: dict[str, str]) -> tuple[str, ...]:
    """ "folder": "a b" as "folder/a", "folder/b"."""
    return tuple(f"{folder}/{name}" for folder, names in folders.items() for name in names.split())


ANIMALS = _paths(
    {
        "animals/birds": (
            "adelaide-rosella blackbird crow crowned_crane cuckoo drake duck gander guineafowl "
            "helmeted_guineafowl hen heron_greatblue lark little-penguin magellanic_penguin "
            "magpie nandou ostrich owl peacock pelican penguin pigeon pink_flamingo quetzal "
            "rainbow-lorikeet rooster seagull silver-gull tucan turkey vulture"
        ),
        "animals/amphibians": "frog",
        "animals/fish": (
            "bluegroper butterflyfish clownfish dolphinfish lionfish seahorse stripedfish"
        ),
        "animals/insects": "grasshopper hornet hoverfly mantis xanthia",
        "animals/lizards": "iguana",
        "animals/mammals/apes": "chimp gorilla tamarin_emperor",
        "animals/mammals/aquatic": "dolphin orca otter sea_lion whale",
        "animals/mammals": (
            "badger elephant ferret giraffe hippopotamus pig pig_golden rabbit_little wildboar"
        ),
        "animals/mammals/bears": "bear european-bear",
        "animals/mammals/bovines": (
            "bison bull cow cow_white gnu-baby gnu-stand goat mountaingoat ram sheep sheep_lamb "
            "yak zebu"
        ),
        "animals/mammals/camel": "camel dromedary",
        "animals/mammals/cats": "lion tiger",
        "animals/mammals/deer": "caribou deer doe wapiti",
        "animals/mammals/dogs": "dingo dog fox",
        "animals/mammals/equines": "donkey horse zebra",
        "animals/mammals/rodents": "beaver capybara marmot mouse rabbit rat squirrel",
        "animals/marsupials": "kangaroo koala wombat",
    }
)
_TRAIN_CLUTTER = _paths(
    {
        "food/fruit": (
            "Apricot_whole Strawberry2 apple_granny_smith apple_red apricot banana grapes lemon "
            "mango orange_seville pineapple raspberry sliced_orange"
        ),
        "food/nuts": "almond walnut",
        "food/vegetables": (
            "broccoli chilepepper eggplant garlics mushroom pattypan_squash potato redlettuce yam"
        ),
        "hobbies": "binoculars",
        "hobbies/music/brass": "trumpet",
        "hobbies/music/percussion": "drum_tomtom_floor",
        "hobbies/music/string": "cello guitar_classical guitar_electric_bass",
        "hobbies/music/wind": "bassoon",
        "household/arttools": "highlighter scissors_small_closed",
        "household": "cylinder home_compost_bin key toilet wheelie_bin",
        "household/dishes": "mug teapot",
        "household/dishes/utensils": "pepper_grinder",
        "household/tools": "hammer measuring_tape paintbrush_large saw toolbox wrench_adjustable",
        "plants/flowers": (
            "adeenia anthoorium bolsom daffodil flower10 flower3 flower5 flower7 flower9 marigold "
            "red-gazania whitestar-petunia"
        ),
        "plants": "lavender",
        "plants/mushrooms": "cep-1 cep",
        "plants/trees": "birch liberia-palm rambutan",
    }
)
_TEST_CLUTTER = _paths(
    {
        "food/fruit": (
            "Cherry_Stella apple_fuji apple_green apple_sierra_beauty avocado cherimoya kiwi "
            "mandarine orange pear pomegranate sliced_lime strawberry"
        ),
        "food/nuts": "pecan",
        "food/spices": "ginger",
        "food/vegetables": (
            "carrot corn garlic lettuce onion pepper pumpkin_small tomato yellowpepper"
        ),
        "hobbies": "camera_35mm",
        "hobbies/music/percussion": "cymbal_crash drumkit",
        "hobbies/music/string": "guitar2 guitar_electric violin",
        "household": "Lightbulb garbagecan kettle rubberduck",
        "household/arttools": "pen_dryerase scissors_small_open",
        "household/dishes": "glass pitcher_small",
        "household/dishes/utensils": "nutcracker",
        "household/tools": (
            "cementmixer mallet_metal measuring_tape_mirror plyers spade wrench wrench_plumbers"
        ),
        "plants": "eggplant lettuce_bolted thyme",
        "plants/flowers": (
            "anemone_red appooppanthady chemparathi flower1 flower2 flower4 flower6 flower8 iris "
            "pigface rose yellow-flower"
        ),
        "plants/mushrooms": "cep-2",
        "plants/trees": "holm_oak pinecone tree336",
    }
)
CLUTTER = {"train": _TRAIN_CLUTTER, "test": _TEST_CLUTTER}

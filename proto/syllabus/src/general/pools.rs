//! Names, places and things of invented facts.

pub(super) const PEOPLE: &[&str] = &[
    "Mara", "Tobin", "Elsie", "Ravi", "Junia", "Oskar", "Petra", "Silas", "Wanda", "Yusuf",
    "Ingrid", "Caleb", "Doreen", "Fabio", "Greta", "Hamid", "Imani", "Jonas", "Kirsten", "Lionel",
    "Noemi", "Quentin", "Rosalind", "Stellan", "Tamsin", "Ursula", "Viktor", "Xenia", "Yolanda",
    "Zoltan",
];
pub(super) const TOWNS: &[&str] = &[
    "Kelmsworth",
    "Dunharrow",
    "Vellmar",
    "Ostrava Bay",
    "Pinwick",
    "Tarrowgate",
    "Lindholm",
    "Corvale",
    "Merrowby",
    "Halstead",
    "Brightwater",
    "Sorrelton",
    "Fenwick",
    "Grayhaven",
    "Northmere",
    "Wexcombe",
    "Ashdell",
    "Rookford",
    "Stonebury",
    "Larkmoor",
];
pub(super) const PLACES: &[&str] = &[
    "cellar",
    "attic",
    "barn",
    "greenhouse",
    "garage",
    "library",
    "kitchen",
    "workshop",
    "tower",
    "pantry",
    "boathouse",
    "laundry",
    "stable",
    "gallery",
    "shed",
    "chapel",
    "study",
    "hallway",
];
pub(super) const THINGS: &[&str] = &[
    "lanterns",
    "teapots",
    "umbrellas",
    "violins",
    "candles",
    "blankets",
    "globes",
    "hammers",
    "paintings",
    "kettles",
    "ladders",
    "mirrors",
    "clocks",
    "baskets",
    "statues",
    "bottles",
    "drums",
    "saddles",
    "telescopes",
    "puppets",
];
pub(super) const COLORS: &[&str] =
    &["red", "blue", "green", "yellow", "purple", "white", "black", "brown", "pink", "grey"];
pub(super) const JOBS: &[&str] = &[
    "baker",
    "carpenter",
    "dentist",
    "gardener",
    "librarian",
    "mechanic",
    "nurse",
    "painter",
    "plumber",
    "tailor",
    "teacher",
    "weaver",
    "butcher",
    "farmer",
    "judge",
    "sailor",
    "barber",
    "potter",
];
pub(super) const PETS: &[&str] = &[
    "parrot", "tortoise", "rabbit", "hamster", "goat", "donkey", "ferret", "pony", "kitten",
    "puppy", "lizard", "canary", "goose", "hedgehog",
];
pub(super) const BOATS: &[&str] = &[
    "Sea Lark",
    "Northern Star",
    "Blue Heron",
    "Silver Tide",
    "Morning Glory",
    "Old Captain",
    "Green Dolphin",
    "White Gull",
    "Lucky Anchor",
    "Golden Wave",
];
pub(super) const INSTRUMENTS: &[&str] = &[
    "cello",
    "flute",
    "harp",
    "trumpet",
    "piano",
    "clarinet",
    "banjo",
    "oboe",
    "trombone",
    "guitar",
    "bassoon",
    "accordion",
];
pub(super) const DAYS: &[&str] = &crate::problem::DAYS;
pub(super) const AGES: &[&str] = &["29", "34", "41", "47", "52", "66"];
pub(super) const FOODS: &[&str] =
    &["pancakes", "lasagna", "dumplings", "sushi", "curry", "omelettes"];
pub(super) const YEARS: &[&str] = &["1961", "1974", "1983", "1990", "1958"];
pub(super) const PRICES: &[&str] = &["$14", "$22", "$31", "$45", "$56"];
pub(super) const SURNAMES: &[&str] =
    &["Abernathy", "Castellan", "Holloway", "Okonedo", "Pellegrin", "Vance"];
pub(super) const WEIGHTS: &[&str] = &["101 kg", "112 kg", "123 kg", "135 kg"];

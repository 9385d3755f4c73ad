//! The words of the tales: which there are, in which class, and how frequent each is.
//!
//! A class lists its words from the most to the least frequent. Nouns and verbs come in pairs: what goes with
//! one, then what goes with many (`captain/captains`, `sings/sing`).
//! Whatever may follow `a` begins with a consonant, so that the determiner need not look ahead.

/// The words that belong to one scene and appear in no other.
pub(super) struct Scene {
    /// What the rules call the scene.
    pub(super) name: &'static str,
    /// Nouns for those who act.
    pub(super) persons: &'static str,
    /// Nouns for what they act upon.
    pub(super) things: &'static str,
    /// Where it happens; each stands after `the`.
    pub(super) places: &'static str,
    /// What a person does, without an object.
    pub(super) acts: &'static str,
    /// What a person does to a thing.
    pub(super) uses: &'static str,
    /// What a thing does, without an object.
    pub(super) happenings: &'static str,
}

/// The scenes; a sentence stays in the one that its first noun opens.
pub(super) const SCENES: [Scene; 2] = [
    Scene {
        name: "sea",
        persons: "sailor/sailors captain/captains fisherman/fishermen pirate/pirates diver/divers \
                  mermaid/mermaids pilot/pilots passenger/passengers smuggler/smugglers boatman/boatmen",
        things: "ship/ships boat/boats net/nets rope/ropes lantern/lanterns mast/masts compass/compasses \
                 barrel/barrels raft/rafts map/maps chest/chests sail/sails",
        places: "harbour beach lighthouse reef lagoon pier cave bay",
        acts: "swims/swim whistles/whistle dives/dive rows/row shivers/shiver fishes/fish snores/snore \
               splashes/splash",
        uses: "repairs/repair steers/steer mends/mend launches/launch loads/load paints/paint ties/tie \
               scrubs/scrub",
        happenings: "sinks/sink drifts/drift floats/float creaks/creak sways/sway leaks/leak",
    },
    Scene {
        name: "castle",
        persons: "king/kings queen/queens knight/knights wizard/wizards princess/princesses jester/jesters \
                  witch/witches minstrel/minstrels giant/giants squire/squires",
        things: "sword/swords crown/crowns mirror/mirrors candle/candles throne/thrones key/keys \
                 shield/shields scroll/scrolls goblet/goblets banner/banners harp/harps \
                 tapestry/tapestries",
        places: "tower forest hall courtyard dungeon gate moat chapel",
        acts: "dances/dance laughs/laugh sings/sing sleeps/sleep weeps/weep dreams/dream bows/bow \
               frowns/frown",
        uses: "guards/guard steals/steal hides/hide breaks/break polishes/polish forges/forge \
               blesses/bless curses/curse",
        happenings: "glitters/glitter glows/glow shines/shine burns/burn vanishes/vanish trembles/tremble",
    },
];

/// What a person does to a person.
pub(super) const REGARDS: &str = "admires/admire loves/love follows/follow trusts/trust fears/fear \
                                  visits/visit teases/tease thanks/thank";
/// What a thing does to a person.
pub(super) const MOVES: &str = "frightens/frighten pleases/please surprises/surprise puzzles/puzzle \
                                comforts/comfort delights/delight";
/// What a person does with a clause.
pub(super) const CLAIMS: &str = "says/say thinks/think knows/know hopes/hope claims/claim";

/// What a person can be.
pub(super) const PERSON_ADJECTIVES: &str =
    "young brave tired clever proud lonely merry hungry gentle famous careless jealous patient shy";
/// What a thing can be.
pub(super) const THING_ADJECTIVES: &str =
    "little broken golden heavy wooden dusty painted strange hollow silver crooked precious magic long";

/// Determiners of one, with their weights: only here does the head of the class stand far above the rest.
pub(super) const ONE: [(&str, u32); 4] = [("a", 6), ("every", 2), ("this", 2), ("each", 1)];
/// Determiners of many.
pub(super) const MANY: [(&str, u32); 5] =
    [("two", 3), ("these", 3), ("some", 2), ("many", 2), ("several", 1)];
/// Determiners that leave the number open.
pub(super) const EITHER: [(&str, u32); 4] = [("the", 8), ("my", 2), ("our", 1), ("her", 1)];

/// How something is done.
pub(super) const ADVERBS: &str = "quietly slowly again happily alone loudly gracefully forever";
/// Where a place stands to what is there.
pub(super) const PREPOSITIONS: &str = "near behind beside beyond above";
/// What may open a sentence, before a comma.
pub(super) const OPENERS: &str = "today tonight sometimes meanwhile now perhaps indeed nowadays";
/// What joins two clauses.
pub(super) const CONNECTIVES: &str = "and but while because";

/// How frequent the word of this `rank` (from 0) is, relative to the others of its class.
///
/// Zipf's law as Mandelbrot bent it, flat at the head, in whole numbers: probabilities are then ratios that
/// every machine computes alike.
pub(super) fn weight(rank: usize) -> u32 {
    let rank = u32::try_from(rank).unwrap_or(u32::MAX - 3);
    (5040 / (rank + 3)).max(1)
}

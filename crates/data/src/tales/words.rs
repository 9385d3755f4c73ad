//! The words of the tales, their classes and their frequencies.
//!
//! A class lists its words from most to least frequent. Nouns and verbs come in pairs: the singular form, then the
//! plural form (`captain/captains`, `sings/sing`).
//! Every word that can follow `a` starts with a consonant, so that the determiner does not depend on the next word.

/// The words that belong to one scene and do not occur in another.
pub(super) struct Scene {
    /// The name of the scene in the rules.
    pub(super) name: &'static str,
    /// Nouns for persons.
    pub(super) persons: &'static str,
    /// Nouns for things.
    pub(super) things: &'static str,
    /// Places; each follows `the`.
    pub(super) places: &'static str,
    /// What a person does, without an object.
    pub(super) acts: &'static str,
    /// What a person does to a thing.
    pub(super) uses: &'static str,
    /// What a thing does, without an object.
    pub(super) happenings: &'static str,
}

/// The scenes; a sentence stays in the scene of its first noun.
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

/// Singular determiners with their weights: only in this class is the first word much more frequent than the rest.
pub(super) const ONE: [(&str, u32); 4] = [("a", 6), ("every", 2), ("this", 2), ("each", 1)];
/// Plural determiners.
pub(super) const MANY: [(&str, u32); 5] =
    [("two", 3), ("these", 3), ("some", 2), ("many", 2), ("several", 1)];
/// Determiners that leave the number open.
pub(super) const EITHER: [(&str, u32); 4] = [("the", 8), ("my", 2), ("our", 1), ("her", 1)];

/// How something is done.
pub(super) const ADVERBS: &str = "quietly slowly again happily alone loudly gracefully forever";
/// Where something is, relative to a place.
pub(super) const PREPOSITIONS: &str = "near behind beside beyond above";
/// What can open a sentence, before a comma.
pub(super) const OPENERS: &str = "today tonight sometimes meanwhile now perhaps indeed nowadays";
/// What joins two clauses.
pub(super) const CONNECTIVES: &str = "and but while because";

/// The weight of the word with this `rank` (from 0), relative to the others in its class.
///
/// This is the Zipf-Mandelbrot law, flat for the first ranks, in integers: the probabilities are ratios of integers,
/// which every machine computes identically.
pub(super) fn weight(rank: usize) -> u32 {
    let rank = u32::try_from(rank).unwrap_or(u32::MAX - 3);
    (5040 / (rank + 3)).max(1)
}

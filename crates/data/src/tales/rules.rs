//! The sentence structure of the tales, as grammar rules that are read from left to right.
//!
//! The choices that a later word depends on (the scene, a subject's kind and number) are encoded in the names of
//! the nonterminals, so a rule is context-free although the dependency is not. Two design choices make the
//! grammar parsable with one word of lookahead, which makes its entropy computable (see [`super::grammar`]):
//! nothing is decided before the word that shows it (`the` leaves number, kind and scene open), and a modifier
//! always belongs to the noun directly before it, which has at most one modifier.

use super::{
    grammar::{Grammar, Rules},
    words::{self, SCENES, Scene},
};

#[derive(Clone, Copy)]
enum Kind {
    Person,
    Thing,
}

#[derive(Clone, Copy)]
enum Number {
    One,
    Many,
}

const KINDS: [Kind; 2] = [Kind::Person, Kind::Thing];
const NUMBERS: [Number; 2] = [Number::One, Number::Many];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Thing => "thing",
        }
    }

    /// The weight of a free noun phrase of this kind: tales are about persons.
    fn weight(self) -> u32 {
        match self {
            Kind::Person => 7,
            Kind::Thing => 3,
        }
    }
}

impl Number {
    fn name(self) -> &'static str {
        match self {
            Number::One => "one",
            Number::Many => "many",
        }
    }

    fn weight(self) -> u32 {
        match self {
            Number::One => 11,
            Number::Many => 9,
        }
    }
}

/// Builds the grammar of the tales.
pub(super) fn grammar() -> Grammar {
    let mut rules = Rules::default();
    sentences(&mut rules);
    shared_words(&mut rules);
    for scene in &SCENES {
        scene_words(&mut rules, scene);
        clauses(&mut rules, scene.name);
        modifiers(&mut rules, scene.name);
        predicates(&mut rules, scene.name);
    }
    rules.build("Sentence")
}

/// An optional opener, and a first noun that selects the scene for the rest.
fn sentences(rules: &mut Rules) {
    rules.add("Sentence", 4, "Story");
    rules.add("Sentence", 1, "Opener , Story");
    noun_phrase(rules, "Story", &KINDS, |kind, number| format!("Tale.{}.{}", kind.name(), number.name()));
    for kind in KINDS {
        for number in NUMBERS {
            let (kind, number) = (kind.name(), number.name());
            for Scene { name: scene, .. } in &SCENES {
                let tale = format!("Body.{scene}.{kind}.{number} Ending.{scene}");
                rules.add(&format!("Tale.{kind}.{number}"), 1, &tale);
            }
        }
    }
}

/// Subject and predicate in a scene; two of them can be joined, or one can be claimed by the subject of another.
fn clauses(rules: &mut Rules, scene: &str) {
    rules.add(&format!("Ending.{scene}"), 4, ".");
    rules.add(&format!("Ending.{scene}"), 1, &format!("Connective Clause.{scene} ."));
    noun_phrase(rules, &format!("Clause.{scene}"), &KINDS, |kind, number| {
        format!("Body.{scene}.{}.{}", kind.name(), number.name())
    });
    for kind in KINDS {
        for number in NUMBERS {
            let of = format!("{scene}.{}.{}", kind.name(), number.name());
            rules.add(&format!("Body.{of}"), 1, &format!("Named.{of} Predicate.{of}"));
            rules.add(&format!("Named.{of}"), 1, &format!("Noun.{of} Modifier.{of}"));
        }
    }
}

/// What can be between a noun and its verb: nothing, a place, a thing, or a relative clause.
fn modifiers(rules: &mut Rules, scene: &str) {
    for kind in KINDS {
        for number in NUMBERS {
            let of = format!("{scene}.{}.{}", kind.name(), number.name());
            let modifier = format!("Modifier.{of}");
            rules.add(&modifier, 10, "");
            rules.add(&modifier, 3, &format!("Preposition the Place.{scene}"));
            rules.add(&modifier, 2, &format!("with Object.{scene}.thing"));
            rules.add(&modifier, 5, &format!("that Relative.{of}"));
            // In "the captain that admires the divers", the verb agrees with the noun outside the clause,
            // in "the captain that the divers admire", with the noun inside.
            rules.add(&format!("Relative.{of}"), 2, &format!("Doing.{of}"));
            rules.add(&format!("Relative.{of}"), 3, &format!("Gap.{scene}.{}", kind.name()));
        }
        // A clause without its object: only persons do something to others that fits every noun of a kind.
        noun_phrase(rules, &format!("Gap.{scene}.{}", kind.name()), &[Kind::Person], |subject, number| {
            let (subject, number) = (subject.name(), number.name());
            format!("Named.{scene}.{subject}.{number} {}", verb_upon(scene, kind, number))
        });
        noun_phrase(rules, &format!("Object.{scene}.{}", kind.name()), &[kind], |kind, number| {
            format!("Named.{scene}.{}.{}", kind.name(), number.name())
        });
    }
}

/// What a subject does; the verb fits its kind and agrees with its number.
fn predicates(rules: &mut Rules, scene: &str) {
    for number in NUMBERS {
        let number = number.name();
        let person = format!("{scene}.person.{number}");
        let doing = format!("Doing.{person}");
        rules.add(&doing, 4, &format!("Act.{scene}.{number} Manner Where.{scene}"));
        for (weight, kind) in [(4, Kind::Thing), (3, Kind::Person)] {
            let verb = verb_upon(scene, kind, number);
            rules.add(&doing, weight, &format!("{verb} Object.{scene}.{}", kind.name()));
        }
        rules.add(&format!("Predicate.{person}"), 9, &doing);
        rules.add(&format!("Predicate.{person}"), 1, &format!("Claim.{number} that Clause.{scene}"));

        let thing = format!("{scene}.thing.{number}");
        let doing = format!("Doing.{thing}");
        rules.add(&doing, 3, &format!("Happening.{scene}.{number} Manner Where.{scene}"));
        rules.add(&doing, 2, &format!("Move.{number} Object.{scene}.person"));
        rules.add(&format!("Predicate.{thing}"), 1, &doing);
    }
    rules.add(&format!("Where.{scene}"), 3, "");
    rules.add(&format!("Where.{scene}"), 1, &format!("Preposition the Place.{scene}"));
}

/// The verbs of a person with an object of this `kind`.
fn verb_upon(scene: &str, kind: Kind, number: &str) -> String {
    match kind {
        Kind::Person => format!("Regard.{number}"),
        Kind::Thing => format!("Use.{scene}.{number}"),
    }
}

/// A determiner, an optional adjective, and the nonterminal returned by `head` for the resulting kind and number.
///
/// `the` leaves the number open until the noun; without an adjective, the kind stays open, too.
fn noun_phrase(rules: &mut Rules, name: &str, kinds: &[Kind], head: impl Fn(Kind, Number) -> String) {
    const PLAIN: u32 = 2;
    const WITH_ADJECTIVE: u32 = 1;
    rules.add(name, 3, &format!("One {name}.one"));
    rules.add(name, 3, &format!("Many {name}.many"));
    rules.add(name, 6, &format!("Either {name}.either"));
    for &kind in kinds {
        let adjective = format!("Adjective.{}", kind.name());
        for number in NUMBERS {
            let (head, after) = (head(kind, number), format!("{name}.{}", number.name()));
            rules.add(&after, kind.weight() * PLAIN, &head);
            rules.add(&after, kind.weight() * WITH_ADJECTIVE, &format!("{adjective} {head}"));
            rules.add(&format!("{name}.either"), kind.weight() * PLAIN * number.weight(), &head);
            rules.add(&format!("{name}.either.{}", kind.name()), number.weight(), &head);
        }
        let both_numbers: u32 = NUMBERS.iter().map(|number| number.weight()).sum();
        rules.add(
            &format!("{name}.either"),
            kind.weight() * WITH_ADJECTIVE * both_numbers,
            &format!("{adjective} {name}.either.{}", kind.name()),
        );
    }
}

fn shared_words(rules: &mut Rules) {
    for (class, words) in [
        ("Adjective.person", words::PERSON_ADJECTIVES),
        ("Adjective.thing", words::THING_ADJECTIVES),
        ("Preposition", words::PREPOSITIONS),
        ("Opener", words::OPENERS),
        ("Connective", words::CONNECTIVES),
    ] {
        class_of(rules, class, words);
    }
    for (class, words) in [("One", &words::ONE[..]), ("Many", &words::MANY), ("Either", &words::EITHER)] {
        for (word, weight) in words {
            rules.add(class, *weight, word);
        }
    }
    rules.add("Manner", 2, "");
    rules.add("Manner", 1, "Adverb");
    class_of(rules, "Adverb", words::ADVERBS);
    class_of_pairs(rules, "Regard", words::REGARDS);
    class_of_pairs(rules, "Move", words::MOVES);
    class_of_pairs(rules, "Claim", words::CLAIMS);
}

fn scene_words(rules: &mut Rules, scene: &Scene) {
    let name = scene.name;
    class_of_pairs(rules, &format!("Noun.{name}.person"), scene.persons);
    class_of_pairs(rules, &format!("Noun.{name}.thing"), scene.things);
    class_of(rules, &format!("Place.{name}"), scene.places);
    class_of_pairs(rules, &format!("Act.{name}"), scene.acts);
    class_of_pairs(rules, &format!("Use.{name}"), scene.uses);
    class_of_pairs(rules, &format!("Happening.{name}"), scene.happenings);
}

fn class_of(rules: &mut Rules, name: &str, words: &str) {
    for (rank, word) in words.split_whitespace().enumerate() {
        rules.add(name, words::weight(rank), word);
    }
}

/// Splits the pairs `one/many` into the classes `name.one` and `name.many`.
fn class_of_pairs(rules: &mut Rules, name: &str, pairs: &str) {
    for (rank, pair) in pairs.split_whitespace().enumerate() {
        for (number, word) in NUMBERS.iter().zip(pair.split('/')) {
            rules.add(&format!("{name}.{}", number.name()), words::weight(rank), word);
        }
    }
}

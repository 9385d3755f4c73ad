//! What can be wrong with a lattice.

/// Why a lattice cannot be read or searched.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LatticeFault {
    /// A field of SLF is not `name=value`.
    #[error("expected fields such as `I=0 W=word`, found `{found}`")]
    Field {
        /// The field.
        found: String,
    },
    /// A quotation mark is not closed.
    #[error("the quotation mark of `{found}` is not closed")]
    Quote {
        /// The field.
        found: String,
    },
    /// A line of Kaldi has the wrong number of fields.
    #[error(
        "expected a link (`from to word costs`, or `from to phone word costs`) or a final node (`node costs`), found \
         `{found}`"
    )]
    KaldiLine {
        /// The line.
        found: String,
    },
    /// A lattice of Kaldi begins with a key alone.
    #[error("expected the key of a lattice, found `{found}`")]
    KaldiKey {
        /// The line.
        found: String,
    },
    /// Lattices with words as numbers need a table of words.
    #[error("the word `{found}` is a number: this needs the table `words.txt`")]
    NoWords {
        /// The number.
        found: String,
    },
    /// A number is not in the table of words.
    #[error("the table of words has no number {found}")]
    UnknownNumber {
        /// The number.
        found: String,
    },
    /// A line of the table of words is not a word and its number.
    #[error("expected a word and its number, found `{found}`")]
    SymbolLine {
        /// The line.
        found: String,
    },
    /// A number cannot be parsed, or is not finite.
    #[error("`{name}` must be a finite number, but is `{found}`")]
    Number {
        /// The name of the field.
        name: String,
        /// The text found in its place.
        found: String,
    },
    /// The base of the logarithms cannot be one.
    #[error("`base` must be 0 (probabilities) or above 0 and not 1, but is `{found}`")]
    Base {
        /// The value.
        found: String,
    },
    /// A link or a lattice lacks a field.
    #[error("{what} has no `{name}`")]
    Missing {
        /// What lacks it.
        what: String,
        /// The name of the field.
        name: &'static str,
    },
    /// Some links have a score and others do not.
    #[error("{what} has no {name} score, but others have one")]
    MissingScore {
        /// What lacks it.
        what: String,
        /// Which score.
        name: &'static str,
    },
    /// A node or link is defined twice.
    #[error("{what} `{name}` is defined twice")]
    Twice {
        /// `node` or `link`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A link leads to or from a node that is not defined.
    #[error("{what} names the node `{node}`, which is not defined")]
    UnknownNode {
        /// What names it.
        what: String,
        /// The node.
        node: String,
    },
    /// The header announces another number of nodes or links than there are.
    #[error("the header announces {expected} {what}, but {found} are defined: the file may be truncated")]
    Count {
        /// `nodes` or `links`.
        what: &'static str,
        /// The number in the header.
        expected: usize,
        /// The number that are defined.
        found: usize,
    },
    /// Sublattices are not supported.
    #[error("node `{node}` is a sublattice: expand it first, for example with HLRescore of HTK")]
    Sublattice {
        /// The node.
        node: String,
    },
    /// There is no single first or last node, and the file does not say which it is.
    #[error("{found} nodes have no links {direction} them: `{name}=` must say which is the {name} node")]
    Ambiguous {
        /// `start` or `end`.
        name: &'static str,
        /// `into` or `out of`.
        direction: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A line of a file of confusion networks is invalid.
    #[error("invalid JSON: {reason}")]
    Json {
        /// The parser's message.
        reason: String,
    },
    /// A position of a confusion network has no alternatives.
    #[error("position {position} has no alternatives")]
    NoAlternatives {
        /// The position, from 1.
        position: usize,
    },
    /// No path leads from the first node to the last.
    #[error("no path leads from the first node, `{start}`, to the last, `{end}`")]
    NoPath {
        /// The first node.
        start: String,
        /// The last node.
        end: String,
    },
    /// The links form a cycle.
    #[error("the links form a cycle through the node `{node}`: a lattice has none")]
    Cycle {
        /// A node of the cycle, or after it.
        node: String,
    },
    /// An exact search has too many hypotheses.
    #[error("the exact search has more than {limit} hypotheses")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A lattice has no old scores to interpolate with.
    #[error("it has no scores of a language model to interpolate with")]
    NoOldScores,
}

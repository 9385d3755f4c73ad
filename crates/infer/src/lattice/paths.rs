//! The best paths of a lattice that has been searched, with different words.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::search::Searched;
use super::{Lattice, Link};

/// The most steps back of a search, at least and for each path that is wanted: beyond, fewer paths are found.
const STEPS: usize = 100_000;
const STEPS_PER_PATH: usize = 2_000;

/// The end of a path: from a hypothesis to the last node.
struct End {
    /// The score of the best path with this end.
    estimate: f64,
    score: f64,
    hypothesis: usize,
    /// Its words, as a place in the tree of ends.
    words: usize,
    /// Its first arc, as a place among the traces.
    trace: usize,
}

impl Searched {
    /// The arcs of the `n` best paths with different words, best first: A*, from the last node back. The scores of the
    /// forward search are exact estimates of what is before an end, so that paths are completed in their order. Of the ends
    /// of a hypothesis with the same words, only the best is followed: it is never overtaken by the others.
    pub(super) fn best(&self, lattice: &Lattice, n: usize) -> Vec<Vec<usize>> {
        let mut open = BinaryHeap::new();
        for (place, last) in self.hypotheses.iter().enumerate().filter(|(_, one)| one.node + 1 == self.nodes)
        {
            open.push(End { estimate: last.score, score: 0.0, hypothesis: place, words: 0, trace: 0 });
        }
        // Ends of words, and arcs, as trees whose roots are empty.
        let (mut ends, mut count): (HashMap<(usize, usize), usize>, usize) = (HashMap::new(), 1);
        let mut traces = vec![(usize::MAX, usize::MAX)];
        let (mut seen, mut paths) = (HashSet::new(), Vec::new());
        let mut left = n.saturating_mul(STEPS_PER_PATH).saturating_add(STEPS);
        while let (Some(end), true) = (open.pop(), paths.len() < n && left > 0) {
            if !seen.insert((end.hypothesis, end.words)) {
                continue;
            }
            left -= 1;
            let hypothesis = &self.hypotheses[end.hypothesis];
            if hypothesis.node == 0 {
                let mut path = Vec::new();
                let mut trace = end.trace;
                while trace > 0 {
                    let (arc, next) = traces[trace];
                    path.push(arc);
                    trace = next;
                }
                paths.push(path);
                continue;
            }
            for place in hypothesis.arcs.clone() {
                let arc = &self.arcs[place];
                let link: &Link = &lattice.links()[arc.link];
                let words = match link.word {
                    Some(word) => *ends.entry((end.words, word)).or_insert_with(|| {
                        count += 1;
                        count - 1
                    }),
                    None => end.words,
                };
                if seen.contains(&(arc.from, words)) {
                    continue;
                }
                traces.push((place, end.trace));
                let score = end.score + arc.score;
                let estimate = self.hypotheses[arc.from].score + score;
                open.push(End { estimate, score, hypothesis: arc.from, words, trace: traces.len() - 1 });
            }
        }
        paths
    }
}

impl Ord for End {
    fn cmp(&self, other: &End) -> Ordering {
        self.estimate.total_cmp(&other.estimate).then_with(|| other.hypothesis.cmp(&self.hypothesis))
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &End) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for End {
    fn eq(&self, other: &End) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for End {}

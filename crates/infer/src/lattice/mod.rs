//! Lattices: the hypotheses of a recognizer as a graph, searched with a language model.
//!
//! ```text
//! a file, in a LatticeFormat ─ LatticeReader ─▶ Lattice ─ LatticeScorer ─▶ Searched ─┬─ best(n) ─▶ hypotheses
//!                                                                                  └─ LatticeWriter ─▶ a lattice
//!        the/−9      cat/−20
//! (0) ─────────▶(1)─────────▶(3)      a word is on a link, or no word, such as a silence; each link has an acoustic
//!    ╲─────────▶(2)─────────▶╱        score and, from some tools, the score of the language model that made it
//!        a/−8        cap/−22
//! ```
//!
//! All scores are natural logarithms. The language model reads a sentence end (its line end) on the links into the last
//! node.
//!
//! Promises: a lattice has no cycles and no NaN; each of its nodes is on a path from the first to the last, and links
//! lead from lower to higher numbers. Not here: lists of hypotheses and weights ([`rescore`](crate::rescore)).

mod confusion;
mod contexts;
mod fault;
mod kaldi;
mod paths;
mod reader;
mod search;
mod slf;
mod slf_fields;
mod write;

use std::collections::HashMap;

pub use fault::LatticeFault;
pub use kaldi::SymbolTable;
pub use reader::{LatticeFormat, LatticeReader};
pub use search::{LatticeScorer, Searched, Settings};
pub use write::LatticeWriter;

/// A lattice.
#[derive(Clone, Debug, PartialEq)]
pub struct Lattice {
    id: String,
    /// The file, in messages.
    origin: String,
    /// The words, each once.
    words: Vec<String>,
    /// The time of each node in seconds, where it is known.
    times: Vec<Option<f64>>,
    /// In the order of the nodes that they lead to.
    links: Vec<Link>,
    defaults: Defaults,
    has_lm: bool,
    /// Whether these scores are posteriors.
    has_posteriors: bool,
    /// Whether the detail of a link is a phone, and not an alignment.
    has_phones: bool,
    unreachable: usize,
}

/// A link of a lattice.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The node where it begins.
    pub from: usize,
    /// The node where it ends.
    pub to: usize,
    /// The word, as its place among [`Lattice::words`]; `None` for silence, noise, and the start and end of a sentence.
    pub word: Option<usize>,
    /// The acoustic score.
    pub acoustic: f64,
    /// The second score, 0 if the lattice has none: of the language model that made the lattice, or else the posterior of
    /// the link after the node where it begins.
    pub lm: f64,
    /// What else the format has for a link, to be written again.
    pub detail: Box<str>,
}

/// The weights that a lattice names for its scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Multiplies the language model's score: 1 if the lattice names none.
    pub lm_scale: f64,
    /// Added for each word.
    pub word_bonus: f64,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults { lm_scale: 1.0, word_bonus: 0.0 }
    }
}

impl Lattice {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The words that occur in it, each once.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The links, in the order of the nodes that they lead to. All begin at a node with a lower number; node 0 is the
    /// first, and the node with the highest number the last.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.times.len()
    }

    /// The weights that it names for its scores.
    #[must_use]
    pub fn defaults(&self) -> Defaults {
        self.defaults
    }

    /// Whether its links have a second score: [`Link::lm`].
    #[must_use]
    pub fn has_lm(&self) -> bool {
        self.has_lm
    }

    /// Whether that is a posterior, which contains the acoustic score.
    #[must_use]
    pub fn has_posteriors(&self) -> bool {
        self.has_posteriors
    }

    /// The names of its scores.
    #[must_use]
    pub fn score_names(&self) -> &'static [&'static str] {
        match (self.has_lm, self.has_posteriors) {
            (false, _) => &["acoustic"],
            (true, false) => &["acoustic", "lm"],
            (true, true) => &["acoustic", "posterior"],
        }
    }

    /// The number of nodes that were on no path from the first to the last, and are left out.
    #[must_use]
    pub fn unreachable(&self) -> usize {
        self.unreachable
    }

    /// The number of paths, or infinity if it exceeds the largest `f64`.
    #[must_use]
    pub fn paths(&self) -> f64 {
        let mut paths = vec![0.0; self.nodes()];
        paths[0] = 1.0;
        for link in &self.links {
            paths[link.to] += paths[link.from];
        }
        paths[self.nodes() - 1]
    }

    /// For each node, the best sum of `score` over the links from it to the last node.
    fn best_to_end(&self, score: &dyn Fn(&Link) -> f64) -> Vec<f64> {
        let mut best = vec![f64::NEG_INFINITY; self.nodes()];
        best[self.nodes() - 1] = 0.0;
        for link in self.links.iter().rev() {
            best[link.from] = best[link.from].max(best[link.to] + score(link));
        }
        best
    }

    /// For each node, the best sum of `score` over the links from the first node to it.
    fn best_from_start(&self, score: &dyn Fn(&Link) -> f64) -> Vec<f64> {
        let mut best = vec![f64::NEG_INFINITY; self.nodes()];
        best[0] = 0.0;
        for link in &self.links {
            best[link.to] = best[link.to].max(best[link.from] + score(link));
        }
        best
    }
}

/// A lattice that is being read: nodes in any order.
#[derive(Debug, Default)]
struct Draft {
    words: Vec<String>,
    places: HashMap<String, usize>,
    times: Vec<Option<f64>>,
    /// The names of the nodes in messages.
    names: Vec<String>,
    links: Vec<Link>,
    defaults: Defaults,
    has_lm: bool,
    has_posteriors: bool,
    has_phones: bool,
}

impl Draft {
    /// Adds a node; `name` is what the file calls it.
    fn node(&mut self, name: String, time: Option<f64>) -> usize {
        self.names.push(name);
        self.times.push(time);
        self.times.len() - 1
    }

    /// The place of a word.
    fn word(&mut self, word: &str) -> usize {
        if let Some(&place) = self.places.get(word) {
            return place;
        }
        self.words.push(word.to_owned());
        self.places.insert(word.to_owned(), self.words.len() - 1);
        self.words.len() - 1
    }

    /// Checks the graph, leaves out what is on no path, and numbers the nodes in order.
    fn finish(
        mut self,
        id: &str,
        start: usize,
        mut end: usize,
    ) -> std::result::Result<Lattice, LatticeFault> {
        // The sentence end is read on a link, even if nothing was said.
        if start == end {
            end = self.node(self.names[end].clone(), self.times[end]);
            let link =
                Link { from: start, to: end, word: None, acoustic: 0.0, lm: 0.0, detail: Box::default() };
            self.links.push(link);
        }
        // A link of probability 0 is no link.
        self.links.retain(|link| link.acoustic != f64::NEG_INFINITY && link.lm != f64::NEG_INFINITY);
        let count = self.times.len();
        let (from_start, to_end) = (self.reachable(start, true), self.reachable(end, false));
        let is_on_path: Vec<bool> = (0..count).map(|node| from_start[node] && to_end[node]).collect();
        if !from_start[end] {
            return Err(LatticeFault::NoPath {
                start: self.names[start].clone(),
                end: self.names[end].clone(),
            });
        }
        self.links.retain(|link| is_on_path[link.from] && is_on_path[link.to]);
        // Kahn's algorithm: a node is numbered when all links into it begin at numbered nodes.
        let (mut into, mut out) = (vec![0usize; count], vec![Vec::new(); count]);
        for link in &self.links {
            into[link.to] += 1;
            out[link.from].push(link.to);
        }
        let (mut order, mut ready) = (Vec::new(), vec![start]);
        if into[start] > 0 {
            ready.clear();
        }
        while let Some(node) = ready.pop() {
            order.push(node);
            for &next in &out[node] {
                into[next] -= 1;
                if into[next] == 0 {
                    ready.push(next);
                }
            }
        }
        let used = is_on_path.iter().filter(|&&used| used).count();
        if order.len() < used {
            let node = (0..count).find(|&node| is_on_path[node] && into[node] > 0).unwrap_or(start);
            return Err(LatticeFault::Cycle { node: self.names[node].clone() });
        }
        let mut numbers = vec![usize::MAX; count];
        for (number, &node) in order.iter().enumerate() {
            numbers[node] = number;
        }
        for link in &mut self.links {
            (link.from, link.to) = (numbers[link.from], numbers[link.to]);
        }
        self.links.sort_by_key(|link| (link.to, link.from));
        Ok(Lattice {
            id: id.to_owned(),
            origin: String::new(),
            words: self.words,
            times: order.iter().map(|&node| self.times[node]).collect(),
            links: self.links,
            defaults: self.defaults,
            has_lm: self.has_lm,
            has_posteriors: self.has_posteriors,
            has_phones: self.has_phones,
            unreachable: count - used,
        })
    }

    /// The nodes that can be reached from a node, forward or backward.
    fn reachable(&self, from: usize, forward: bool) -> Vec<bool> {
        let mut next = vec![Vec::new(); self.times.len()];
        for link in &self.links {
            let (from, to) = if forward { (link.from, link.to) } else { (link.to, link.from) };
            next[from].push(to);
        }
        let (mut seen, mut open) = (vec![false; self.times.len()], vec![from]);
        seen[from] = true;
        while let Some(node) = open.pop() {
            for &next in &next[node] {
                if !std::mem::replace(&mut seen[next], true) {
                    open.push(next);
                }
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(nodes: usize, links: &[(usize, usize, f64)]) -> Draft {
        let mut draft = Draft::default();
        for node in 0..nodes {
            draft.node(node.to_string(), None);
        }
        for &(from, to, acoustic) in links {
            let word = Some(draft.word(&format!("{from}-{to}")));
            draft.links.push(Link { from, to, word, acoustic, lm: 0.0, detail: Box::default() });
        }
        draft
    }

    #[test]
    fn nodes_are_numbered_from_the_first_to_the_last() {
        // From 3 to 0, by 1 or 2; node 4 leads nowhere, and a link is impossible.
        let links =
            [(1, 0, -1.0), (3, 2, -2.0), (2, 1, -3.0), (3, 1, -4.0), (3, 4, 0.0), (3, 0, f64::NEG_INFINITY)];
        let found = draft(5, &links).finish("u", 3, 0).unwrap();
        assert_eq!((found.nodes(), found.unreachable(), found.paths()), (4, 1, 2.0));
        assert!(found.links().iter().all(|link| link.from < link.to));
        assert!(found.links().is_sorted_by_key(|link| link.to));
        let score = |link: &Link| link.acoustic;
        assert_eq!(found.best_to_end(&score)[0], -5.0);
        assert_eq!(found.best_from_start(&score)[3], -5.0);
    }

    #[test]
    fn a_graph_that_is_no_lattice_is_refused() {
        let error =
            |links: &[(usize, usize, f64)]| draft(3, links).finish("u", 0, 2).unwrap_err().to_string();
        assert_eq!(error(&[(0, 1, 0.0)]), "no path leads from the first node, `0`, to the last, `2`");
        let cycle = error(&[(0, 1, 0.0), (1, 0, 0.0), (1, 2, 0.0)]);
        assert_eq!(cycle, "the links form a cycle through the node `0`: a lattice has none");
        assert!(error(&[(0, 1, 0.0), (1, 2, 0.0), (1, 1, 0.0)]).contains("cycle through the node `1`"));
        assert!(error(&[(0, 1, 0.0), (1, 2, 0.0), (2, 1, 0.0)]).contains("cycle"));
    }
}

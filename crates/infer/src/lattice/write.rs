//! Writes lattices that have been searched, with the model's scores on their links.
//!
//! ```text
//! format         acoustic score   model      old model   weights
//! slf            a=               l=         x1=         acscale= lmscale= x1scale= wdpenalty=, in the header
//! kaldi-lattice  second cost      the first cost: all but the acoustic score, weighted, over its weight
//! ```
//!
//! A node is a node of the lattice with a history, so that it occurs as often as the model tells histories apart.

use std::io::{self, Write};

use super::search::{Arc, Searched};
use super::{Lattice, LatticeFormat, Link, SymbolTable};
use crate::rescore::Weights;

/// Writes lattices that have been searched.
#[derive(Debug)]
pub struct LatticeWriter<'a> {
    format: LatticeFormat,
    symbols: Option<&'a SymbolTable>,
}

impl<'a> LatticeWriter<'a> {
    /// A writer in a format; confusion networks, which are none any more, become SLF. Kaldi's words are numbers if there is
    /// a table.
    #[must_use]
    pub fn new(format: LatticeFormat, symbols: Option<&'a SymbolTable>) -> LatticeWriter<'a> {
        LatticeWriter { format, symbols }
    }

    /// Whether several lattices follow each other in one file.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.format == LatticeFormat::Kaldi
    }

    /// Writes a lattice.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn lattice(
        &self,
        lattice: &Lattice,
        searched: &Searched,
        weights: &Weights,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let graph = Used::new(searched);
        match self.format {
            LatticeFormat::Kaldi => self.kaldi(lattice, searched, &graph, weights, out),
            LatticeFormat::Slf | LatticeFormat::Confusion => slf(lattice, searched, &graph, weights, out),
        }
    }

    fn kaldi(
        &self,
        lattice: &Lattice,
        searched: &Searched,
        graph: &Used,
        weights: &Weights,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let acoustic_weight = weights.scores.first().copied().unwrap_or(1.0);
        let divisor = if acoustic_weight == 0.0 { 1.0 } else { acoustic_weight };
        let (last, mut has_last) = (graph.nodes().len(), false);
        writeln!(out, "{} ", lattice.id())?;
        for (to, arc) in graph.arcs(searched) {
            let link = &lattice.links()[arc.link];
            let costs = [(acoustic_weight * link.acoustic - arc.score) / divisor, 0.0 - link.acoustic];
            let costs = format!("{:.6},{:.6}", costs[0], costs[1]);
            let from = graph.number(arc.from);
            let is_last = searched.hypotheses[to].node + 1 == searched.nodes;
            // A final node has no word; the links of other formats can have one there.
            let is_final = is_last && link.word.is_none();
            has_last |= is_last && !is_final;
            let to = if is_last { last } else { graph.number(to) };
            let (word, detail) = (self.word(lattice, link), &link.detail);
            match (is_final, lattice.has_phones) {
                (true, true) => writeln!(out, "{from} {costs}")?,
                (true, false) => writeln!(out, "{from} {costs},{detail}")?,
                (false, true) => writeln!(out, "{from} {to} {detail} {word} {costs}")?,
                (false, false) => writeln!(out, "{from} {to} {word} {costs},{detail}")?,
            }
        }
        if has_last {
            writeln!(out, "{last}")?;
        }
        writeln!(out)
    }

    fn word(&self, lattice: &Lattice, link: &Link) -> String {
        let word = link.word.map(|word| lattice.words()[word].as_str());
        match (word, self.symbols) {
            (None, Some(_)) => "0".to_owned(),
            (None, None) => "<eps>".to_owned(),
            (Some(word), symbols) => {
                let number = symbols.and_then(|symbols| symbols.number(word));
                number.map_or_else(|| word.to_owned(), |number| number.to_string())
            }
        }
    }
}

fn slf(
    lattice: &Lattice,
    searched: &Searched,
    graph: &Used,
    weights: &Weights,
    out: &mut dyn Write,
) -> io::Result<()> {
    let weight = |place: usize| weights.scores.get(place).copied().unwrap_or(1.0);
    writeln!(out, "VERSION=1.1\nUTTERANCE={}", quoted(lattice.id()))?;
    write!(out, "acscale={} lmscale={} wdpenalty={}", weight(0), weights.lm, weights.word_bonus)?;
    writeln!(out, "{}", if lattice.has_lm() { format!(" x1scale={}", weight(1)) } else { String::new() })?;
    let (nodes, arcs) = (graph.nodes(), graph.arcs(searched).count());
    // All last nodes are one.
    writeln!(out, "start=0 end={}\nN={} L={arcs}", nodes.len(), nodes.len() + 1)?;
    let time = |node: usize| lattice.times[node].map_or(String::new(), |time| format!(" t={time}"));
    for (number, &place) in nodes.iter().enumerate() {
        writeln!(out, "I={number}{}", time(searched.hypotheses[place].node))?;
    }
    writeln!(out, "I={}{}", nodes.len(), time(searched.nodes - 1))?;
    for (number, (to, arc)) in graph.arcs(searched).enumerate() {
        let link = &lattice.links()[arc.link];
        let to =
            if searched.hypotheses[to].node + 1 == searched.nodes { nodes.len() } else { graph.number(to) };
        let word = link.word.map_or("!NULL".to_owned(), |word| quoted(&lattice.words()[word]));
        let (from, acoustic) = (graph.number(arc.from), link.acoustic);
        write!(out, "J={number} S={from} E={to} W={word} a={acoustic:.6} l={:.6}", arc.log_prob)?;
        writeln!(out, "{}", if lattice.has_lm() { format!(" x1={:.6}", link.lm) } else { String::new() })?;
    }
    Ok(())
}

/// A value of SLF: in quotation marks, if it needs them.
fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty()
        && !text.contains(|char: char| char.is_whitespace() || char == '\\')
        && !text.starts_with(['"', '\'']);
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// The hypotheses that lead to the last node.
struct Used {
    /// The number of each hypothesis before the last node, if it is used.
    numbers: Vec<Option<usize>>,
    is_used: Vec<bool>,
}

impl Used {
    fn new(searched: &Searched) -> Used {
        let mut is_used: Vec<bool> =
            searched.hypotheses.iter().map(|one| one.node + 1 == searched.nodes).collect();
        for (place, one) in searched.hypotheses.iter().enumerate().rev() {
            if is_used[place] {
                one.arcs.clone().for_each(|arc| is_used[searched.arcs[arc].from] = true);
            }
        }
        let mut next = 0;
        let number = |(one, &is_used): (&super::search::Hypothesis, &bool)| {
            let is_numbered = is_used && one.node + 1 < searched.nodes;
            next += usize::from(is_numbered);
            is_numbered.then(|| next - 1)
        };
        let numbers = searched.hypotheses.iter().zip(&is_used).map(number).collect();
        Used { numbers, is_used }
    }

    /// The hypotheses before the last node, in the order of their numbers.
    fn nodes(&self) -> Vec<usize> {
        (0..self.numbers.len()).filter(|&place| self.numbers[place].is_some()).collect()
    }

    fn number(&self, place: usize) -> usize {
        self.numbers[place].unwrap_or_default()
    }

    /// The arcs between hypotheses that are used, with the hypothesis that each leads to.
    fn arcs<'a>(&'a self, searched: &'a Searched) -> impl Iterator<Item = (usize, &'a Arc)> {
        let all = searched.hypotheses.iter().enumerate().filter(|(place, _)| self.is_used[*place]);
        all.flat_map(move |(place, one)| one.arcs.clone().map(move |arc| (place, &searched.arcs[arc])))
    }
}

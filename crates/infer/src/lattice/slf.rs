//! The standard lattice format (SLF) of HTK, as HTK, SRILM and PocketSphinx write it.
//!
//! ```text
//! VERSION=1.0 base=10 lmscale=12          the header, on one line or several, also after `N` and `L`
//! start=0 end=2 N=3 L=2
//! I=0 t=0.00 W=!NULL                      nodes; words are on nodes or on links
//! I=1 t=0.31 W="don\'t"
//! J=0 S=0 E=1 a=-120.5 l=-3.2             links, with acoustic and language model scores
//! ```
//!
//! Fields are in any order, several per line; a line with `I=` is a node, one with `J=` a link. A word on a node is
//! that of the links into it. *Source*: The HTK Book 3.4, chapter 20.

use std::collections::HashMap;
use std::io::BufRead;

use super::reader::{LatticeReader, Lines, number};
use super::slf_fields::{Fields, fields};
use super::{Defaults, Draft, Lattice, LatticeFault, Link};
use crate::Result;

type Parsed<T> = std::result::Result<T, LatticeFault>;

/// What the header says.
struct Header {
    base: f64,
    defaults: Defaults,
    acoustic_scale: f64,
    pronunciation_scale: f64,
    start: Option<String>,
    end: Option<String>,
    nodes: Option<usize>,
    links: Option<usize>,
}

/// A node as it was read.
struct Node {
    place: usize,
    word: Option<String>,
}

/// A link as it was read: nodes may be defined after it.
struct RawLink {
    name: String,
    from: String,
    to: String,
    word: Option<String>,
    acoustic: Option<f64>,
    lm: Option<f64>,
    pronunciation: f64,
    posterior: Option<f64>,
    line: usize,
}

/// Reads the lattice of a file.
pub(super) fn read<R: BufRead>(
    reader: &LatticeReader,
    lines: &mut Lines<'_, R>,
    id: &str,
) -> Result<Lattice> {
    let mut parser = Parser {
        reader,
        header: Header {
            base: std::f64::consts::E,
            defaults: Defaults::default(),
            acoustic_scale: 1.0,
            pronunciation_scale: 1.0,
            start: None,
            end: None,
            nodes: None,
            links: None,
        },
        draft: Draft::default(),
        nodes: HashMap::new(),
        links: Vec::new(),
        names: HashMap::new(),
    };
    let mut line_number = 0;
    while let Some(line) = lines.next()? {
        line_number += 1;
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            parser.line(line, line_number).map_err(|fault| lines.fault(fault))?;
        }
    }
    parser.finish(id).map_err(|fault| lines.fault_of(id, fault))
}

struct Parser<'a> {
    reader: &'a LatticeReader,
    header: Header,
    draft: Draft,
    nodes: HashMap<String, Node>,
    links: Vec<RawLink>,
    /// The names of links, to find those that come twice.
    names: HashMap<String, usize>,
}

impl Parser<'_> {
    fn line(&mut self, line: &str, number: usize) -> Parsed<()> {
        let fields = fields(line)?;
        if let Some(name) = fields.get("I") {
            self.node(name, &fields)
        } else if let Some(name) = fields.get("J") {
            self.link(name, &fields, number)
        } else {
            self.header(&fields)
        }
    }

    fn header(&mut self, fields: &Fields) -> Parsed<()> {
        let header = &mut self.header;
        for (name, value) in fields {
            let value = value.as_str();
            match name.as_str() {
                "base" => {
                    header.base = number("base", value)?;
                    if header.base < 0.0 || header.base == 1.0 {
                        return Err(LatticeFault::Base { found: value.to_owned() });
                    }
                }
                "lmscale" => header.defaults.lm_scale = finite("lmscale", value)?,
                "wdpenalty" => header.defaults.word_bonus = finite("wdpenalty", value)?,
                "acscale" => header.acoustic_scale = finite("acscale", value)?,
                "prscale" => header.pronunciation_scale = finite("prscale", value)?,
                "start" => header.start = Some(value.to_owned()),
                "end" => header.end = Some(value.to_owned()),
                "N" | "NODES" => header.nodes = Some(count("N", value)?),
                "L" | "LINKS" => header.links = Some(count("L", value)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, name: &str, fields: &Fields) -> Parsed<()> {
        if fields.contains_key("L") {
            return Err(LatticeFault::Sublattice { node: name.to_owned() });
        }
        let time = ["t", "time"].iter().find_map(|&key| fields.get(key));
        let time = time.map(|time| finite("t", time)).transpose()?;
        let word = ["W", "WORD"].iter().find_map(|&key| fields.get(key)).map(|word| without_variant(word));
        let place = self.draft.node(name.to_owned(), time);
        match self.nodes.insert(name.to_owned(), Node { place, word }) {
            Some(_) => Err(LatticeFault::Twice { what: "node", name: name.to_owned() }),
            None => Ok(()),
        }
    }

    fn link(&mut self, name: &str, fields: &Fields, line: usize) -> Parsed<()> {
        let node = |short: &'static str, long: &str| {
            let node = fields.get(short).or_else(|| fields.get(long)).cloned();
            node.ok_or_else(|| LatticeFault::Missing { what: format!("link `{name}`"), name: short })
        };
        let score = |short: &'static str, long: &str| {
            let score = fields.get(short).or_else(|| fields.get(long));
            score.map(|score| number(short, score)).transpose()
        };
        let link = RawLink {
            name: name.to_owned(),
            from: node("S", "START")?,
            to: node("E", "END")?,
            word: fields.get("W").or_else(|| fields.get("WORD")).map(|word| without_variant(word)),
            acoustic: score("a", "acoustic")?,
            lm: score("l", "language")?,
            pronunciation: score("r", "r")?.unwrap_or(f64::NAN),
            posterior: score("p", "p")?.filter(|posterior| *posterior >= 0.0),
            line,
        };
        if self.names.insert(name.to_owned(), link.line).is_some() {
            return Err(LatticeFault::Twice { what: "link", name: name.to_owned() });
        }
        self.links.push(link);
        Ok(())
    }

    fn finish(mut self, id: &str) -> Parsed<Lattice> {
        if self.header.links.is_some_and(|expected| expected != self.links.len()) {
            let expected = self.header.links.unwrap_or_default();
            return Err(LatticeFault::Count { what: "links", expected, found: self.links.len() });
        }
        // Lines of nodes can be left out where words are on links.
        if self.nodes.is_empty() {
            for name in self.links.iter().flat_map(|link| [&link.from, &link.to]) {
                if !self.nodes.contains_key(name) {
                    let place = self.draft.node(name.clone(), None);
                    self.nodes.insert(name.clone(), Node { place, word: None });
                }
            }
        }
        if self.header.nodes.is_some_and(|expected| expected != self.nodes.len()) {
            let expected = self.header.nodes.unwrap_or_default();
            return Err(LatticeFault::Count { what: "nodes", expected, found: self.nodes.len() });
        }
        let (has_acoustic, has_lm) = (
            self.links.iter().any(|link| link.acoustic.is_some()),
            self.links.iter().any(|link| link.lm.is_some()),
        );
        let links = std::mem::take(&mut self.links);
        let has_posteriors =
            !has_lm && !links.is_empty() && links.iter().all(|link| link.posterior.is_some());
        let posteriors: Vec<f64> = links.iter().filter_map(|link| link.posterior).collect();
        for link in links {
            let link = self.resolved(link, has_acoustic, has_lm)?;
            self.draft.links.push(link);
        }
        if has_posteriors {
            set_posteriors(&mut self.draft.links, &posteriors, self.draft.times.len());
        }
        self.draft.has_lm = has_lm || has_posteriors;
        self.draft.has_posteriors = has_posteriors;
        self.draft.defaults = self.header.defaults;
        self.draft.defaults.word_bonus = natural(self.header.base, self.draft.defaults.word_bonus, true);
        let (start, end) = (self.terminal(true)?, self.terminal(false)?);
        let mut start_place = self.nodes[&start].place;
        // The word of the first node is on every path, but on no link.
        if let Some(word) = self.nodes[&start].word.clone()
            && !self.reader.is_filler(&word)
        {
            let word = Some(self.draft.word(&word));
            let (from, to) = (self.draft.node("start".to_owned(), None), start_place);
            self.draft.links.push(Link { from, to, word, acoustic: 0.0, lm: 0.0, detail: Box::default() });
            start_place = from;
        }
        let end_place = self.nodes[&end].place;
        self.draft.finish(id, start_place, end_place)
    }

    /// A link with its nodes, its word, and scores as natural logarithms.
    fn resolved(&mut self, link: RawLink, has_acoustic: bool, has_lm: bool) -> Parsed<Link> {
        let missing = |name| LatticeFault::MissingScore { what: format!("link `{}`", link.name), name };
        let acoustic = if has_acoustic { link.acoustic.ok_or(missing("acoustic"))? } else { 0.0 };
        // Links without a word can lack the language model's score.
        let known = |name: &String| {
            let unknown =
                || LatticeFault::UnknownNode { what: format!("link `{}`", link.name), node: name.clone() };
            self.nodes.get(name).ok_or_else(unknown)
        };
        let (from, to) = (known(&link.from)?, known(&link.to)?);
        let word = link.word.as_ref().or(to.word.as_ref());
        let word = word.filter(|word| !self.reader.is_filler(word)).cloned();
        let (from, to) = (from.place, to.place);
        let lm = match link.lm {
            Some(lm) => Some(lm),
            None if has_lm && word.is_some() => return Err(missing("language model")),
            None => None,
        };
        let Header { base, acoustic_scale, pronunciation_scale, .. } = self.header;
        let natural = |value: f64| natural(base, value, false);
        let pronunciation =
            if link.pronunciation.is_nan() { 0.0 } else { pronunciation_scale * natural(link.pronunciation) };
        let acoustic = if has_acoustic { acoustic_scale * natural(acoustic) } else { 0.0 };
        let word = word.map(|word| self.draft.word(&word));
        let lm = lm.map_or(0.0, natural);
        for (name, value) in [("a", acoustic + pronunciation), ("l", lm)] {
            if value.is_nan() || value == f64::INFINITY {
                return Err(LatticeFault::Number { name: name.to_owned(), found: value.to_string() });
            }
        }
        Ok(Link { from, to, word, acoustic: acoustic + pronunciation, lm, detail: Box::default() })
    }

    /// The name of the first or the last node: as the header says, or the only one without links into or out of it.
    fn terminal(&self, is_start: bool) -> Parsed<String> {
        let (name, direction) = if is_start { ("start", "into") } else { ("end", "out of") };
        let given = if is_start { &self.header.start } else { &self.header.end };
        if let Some(given) = given {
            let unknown = || LatticeFault::UnknownNode { what: format!("`{name}=`"), node: given.clone() };
            return self.nodes.contains_key(given).then(|| given.clone()).ok_or_else(unknown);
        }
        let mut is_used = vec![false; self.draft.times.len()];
        for link in &self.draft.links {
            is_used[if is_start { link.to } else { link.from }] = true;
        }
        let found: Vec<&String> =
            self.nodes.iter().filter(|(_, node)| !is_used[node.place]).map(|(name, _)| name).collect();
        match found[..] {
            [only] => Ok(only.clone()),
            _ => Err(LatticeFault::Ambiguous { name, direction, found: found.len() }),
        }
    }
}

/// The smallest posterior: those below are printed as 0.
const LEAST_POSTERIOR: f64 = 1e-10;

/// Makes scores of the posteriors of links: the logarithm of the probability of each link after the node where it begins.
/// Their sum along a path is the logarithm of the path's posterior, as far as a link depends only on the one before it.
fn set_posteriors(links: &mut [Link], posteriors: &[f64], nodes: usize) {
    let mut sums = vec![0.0; nodes];
    for (link, posterior) in links.iter().zip(posteriors) {
        sums[link.from] += posterior.max(LEAST_POSTERIOR);
    }
    for (link, posterior) in links.iter_mut().zip(posteriors) {
        link.lm = (posterior.max(LEAST_POSTERIOR) / sums[link.from]).ln();
    }
}

/// A score in the base of the file as a natural logarithm. With base 0, scores are probabilities, but a penalty is not.
fn natural(base: f64, value: f64, is_penalty: bool) -> f64 {
    match base {
        0.0 if is_penalty => value,
        0.0 => value.ln(),
        // Bit for bit.
        std::f64::consts::E => value,
        base => value * base.ln(),
    }
}

/// A number that is finite.
fn finite(name: &str, text: &str) -> Parsed<f64> {
    let fault = || LatticeFault::Number { name: name.to_owned(), found: text.to_owned() };
    number(name, text).ok().filter(|value| value.is_finite()).ok_or_else(fault)
}

fn count(name: &str, text: &str) -> Parsed<usize> {
    text.parse().map_err(|_| LatticeFault::Number { name: name.to_owned(), found: text.to_owned() })
}

/// A word without the number of its pronunciation, as in `the(2)`.
fn without_variant(word: &str) -> String {
    let without = word.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    match without {
        Some((word, variant))
            if !word.is_empty()
                && !variant.is_empty()
                && variant.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            word.to_owned()
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::LatticeFormat;
    use super::*;

    fn lattice(text: &str) -> std::result::Result<Lattice, String> {
        let mut found = None;
        let reader = LatticeReader::new(LatticeFormat::Slf);
        let read = reader.read(text.as_bytes(), "file", "u", &mut |lattice| {
            found = Some(lattice);
            ControlFlow::Continue(())
        });
        read.map(|()| found.unwrap()).map_err(|error| error.to_string())
    }

    fn shown(text: &str) -> String {
        let lattice = lattice(text).unwrap();
        let link = |link: &Link| {
            let word = link.word.map_or("-", |word| &lattice.words()[word]);
            format!("{}-{} {word} {} {}", link.from, link.to, link.acoustic, link.lm)
        };
        lattice.links().iter().map(link).collect::<Vec<_>>().join("; ")
    }

    /// As PocketSphinx writes them: the words on nodes, the last node first.
    #[test]
    fn words_on_nodes_are_on_the_links_into_them() {
        let text = "# Lattice\n#\nVERSION=1.0\nstart=2\nend=0\n#\nN=3\tL=2\n# Node definitions\n\
            I=0\tt=2.03\tW=!SENT_END\tv=1\nI=1\tt=1.00\tW=facts(2)\tv=1\nI=2\tt=0.00\tW=!SENT_START\tv=1\n#\n\
            J=0\tS=1\tE=0\ta=-37.5\tp=0.05\nJ=1\tS=2\tE=1\ta=-38.25\tp=0.05\n";
        assert_eq!(shown(text), "0-1 facts -38.25 0; 1-2 - -37.5 0");
        assert_eq!(lattice(text).unwrap().score_names(), ["acoustic", "posterior"]);
        // The word of the first node is said, too.
        let said = text.replace("W=!SENT_START", "W=the");
        assert_eq!(shown(&said), "0-1 the 0 0; 1-2 facts -38.25 0; 2-3 - -37.5 0");
    }

    /// PocketSphinx writes no scores of its language model, but posteriors that contain them.
    #[test]
    fn posteriors_are_those_of_a_link_after_its_node() {
        let text = "J=0 S=0 E=1 W=a a=-1 p=0.6\nJ=1 S=0 E=1 W=b a=-2 p=0.2\nJ=2 S=1 E=2 W=c a=-3 p=0.8\n\
            J=3 S=0 E=2 W=d a=-4 p=0\n";
        let found = lattice(text).unwrap();
        let total: f64 = 0.8 + 1e-10;
        for (link, expected) in found.links().iter().zip([0.6 / total, 0.2 / total, 1e-10 / total, 1.0]) {
            assert!((link.lm - f64::ln(expected)).abs() < 1e-12, "{link:?}");
        }
        assert_eq!(found.score_names(), ["acoustic", "posterior"]);
        // The scores of a language model are better.
        assert_eq!(lattice("J=0 S=0 E=1 W=a a=-1 l=-2 p=1\n").unwrap().score_names(), ["acoustic", "lm"]);
        assert_eq!(lattice("J=0 S=0 E=1 W=a a=-1\n").unwrap().score_names(), ["acoustic"]);
    }

    /// Words on links, several fields per line in any order, long names, no lines of nodes, no `start` or `end`.
    #[test]
    fn words_on_links_have_scores_in_the_base_of_the_file() {
        let text = "VERSION=1.1 base=10 acscale=0.5 lmscale=12 wdpenalty=-1 prscale=2\nN=3 L=3\n\
            W=\"don\\'t  go\" E=1 S=0 J=0 l=-2 a=-10 r=-1\nJ=1 START=1 END=2 WORD='tis language=-1 acoustic=-4\n\
            a=-inf S=0 J=2 E=2 W=x l=-1\n";
        let found = lattice(text).unwrap();
        let ln10 = std::f64::consts::LN_10;
        let scores: Vec<f64> = found.links().iter().flat_map(|link| [link.acoustic, link.lm]).collect();
        for (found, expected) in scores.into_iter().zip([-7.0, -2.0, -2.0, -1.0]) {
            assert!((found - expected * ln10).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(found.words(), ["don't  go", "'tis", "x"]);
        assert_eq!((found.links().len(), found.has_lm(), found.defaults().lm_scale), (2, true, 12.0));
        assert!((found.defaults().word_bonus + ln10).abs() < 1e-12);
        // With base 0, scores are probabilities.
        assert_eq!(shown("base=0\nJ=0 S=0 E=1 W=a a=0.5\n"), format!("0-1 a {} 0", 0.5_f64.ln()));
        assert_eq!(shown("J=0 S=0 E=1 W=\\303\\251t\\303\\251 a=-1\n"), "0-1 été -1 0");
        // A graph without scores.
        assert_eq!(shown("J=0 S=a E=b W=x\n"), "0-1 x 0 0");
    }

    #[test]
    fn what_is_wrong_is_one_clear_message() {
        let line = "I=0\nI=1\nJ=0 S=0 E=1 W=a a=-1 l=-2\n";
        assert_eq!(shown(line), "0-1 a -1 -2");
        for (text, expected) in [
            ("a lattice", "file, line 1: expected fields such as `I=0 W=word`, found `a`"),
            ("I=0\nW=\"a b", "file, line 2: the quotation mark of `W=\"a` is not closed"),
            ("J=0 S=0 E=1 a=nan", "file, line 1: `a` must be a finite number, but is `nan`"),
            ("J=0 S=0 E=1 a=inf", "file, line 1: `a` must be a finite number, but is `inf`"),
            ("J=0 S=0 a=1", "file, line 1: link `0` has no `E`"),
            ("base=1", "file, line 1: `base` must be 0 (probabilities) or above 0 and not 1, but is `1`"),
            ("lmscale=inf", "file, line 1: `lmscale` must be a finite number, but is `inf`"),
            (
                "I=0 L=digits",
                "file, line 1: node `0` is a sublattice: expand it first, for example with HLRescore of HTK",
            ),
            ("I=0\nI=0", "file, line 2: node `0` is defined twice"),
            ("J=0 S=0 E=1\nJ=0 S=1 E=2", "file, line 2: link `0` is defined twice"),
            (
                "J=0 S=0 E=1 a=1\nJ=1 S=1 E=2",
                "`file`, lattice `u`: link `1` has no acoustic score, but others have one",
            ),
            (
                "J=0 S=0 E=1 l=1\nJ=1 S=1 E=2 W=b",
                "`file`, lattice `u`: link `1` has no language model score, but others have one",
            ),
            ("I=0\nJ=0 S=0 E=7", "`file`, lattice `u`: link `0` names the node `7`, which is not defined"),
            (
                "start=3\nJ=0 S=0 E=1",
                "`file`, lattice `u`: `start=` names the node `3`, which is not defined",
            ),
            (
                "N=3 L=1\nI=0\nI=1\nJ=0 S=0 E=1",
                "`file`, lattice `u`: the header announces 3 nodes, but 2 are defined: the file may be truncated",
            ),
            (
                "J=0 S=0 E=1\nJ=1 S=0 E=2",
                "`file`, lattice `u`: 2 nodes have no links out of them: `end=` must say which is the end node",
            ),
            (
                "",
                "`file`, lattice `u`: 0 nodes have no links into them: `start=` must say which is the start node",
            ),
            (
                "start=0 end=1\nJ=0 S=0 E=2\nJ=1 S=2 E=0\nJ=2 S=2 E=1",
                "`file`, lattice `u`: the links form a cycle through the node `0`: a lattice has none",
            ),
        ] {
            assert_eq!(lattice(text).unwrap_err(), expected, "{text}");
        }
    }
}

//! Searches a lattice with a language model.
//!
//! ```text
//! nodes by level     (0) ──▶ (1) (2) ──▶ (3) ──▶ (4)      a level is a frontier: no links lead from one of its nodes
//! hypotheses          •       ••  •      •••     ••       to another, and all its hypotheses advance in one batch
//! ```
//!
//! Hypotheses that end in the same node and have the same last words are merged: the best of them stands for all, and the
//! links of the others lead into it, so that they are still found among the n best. An exact search merges only what has
//! the same words from the start.
//!
//! Promises: the score of the best path is the model's own; with all words compared and no beam, it is the best of
//! all paths. Not here: which weights are good ([`rescore`](crate::rescore)).

use std::collections::HashMap;

use rondo_data::TextCodec;

use super::contexts::{Contexts, IMPOSSIBLE, Pieces, ROOT};
use super::{Lattice, LatticeFault, Link};
use crate::mixture::Mixture;
use crate::rescore::{Scored, Weights};
use crate::{Decoder, InferError, Interpolation, Result};

/// Links whose best path is this much below the lattice's best, by its own scores, times the beam, are not searched.
const LINK_BEAM: f64 = 2.0;

/// How a lattice is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The number of last words that hypotheses of a node must share to be merged.
    pub merge: usize,
    /// Hypotheses of a node that are worse than its best by more than this are dropped, in nats of the language model: the
    /// difference of the scores is divided by the model's weight.
    pub beam: f64,
    /// The maximum number of hypotheses of a node.
    pub per_node: usize,
    /// Find the best paths for certain: all words are compared, and nothing is dropped that could be among the `n` best.
    pub exact: bool,
    /// The maximum number of hypotheses of an exact search.
    pub limit: usize,
    /// The number of best paths that are wanted.
    pub n: usize,
    /// The weight of the lattice's own language model where its probabilities are interpolated with the model's, word by
    /// word; 0 leaves them apart.
    pub interpolation: f64,
    /// The number of hypotheses that advance in one batch: affects only speed and memory.
    pub batch_size: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            merge: 5,
            beam: 15.0,
            per_node: 16,
            exact: false,
            limit: 200_000,
            n: 1,
            interpolation: 0.0,
            batch_size: 64,
        }
    }
}

/// Searches lattices with a language model.
#[derive(Debug)]
pub struct LatticeScorer {
    codec: TextCodec,
    decoder: Decoder,
    ngram: Option<Interpolation>,
    impossible: u64,
    contexts: u64,
}

/// What a search has found: a lattice in which each node has one history, as far as the search tells them apart.
#[derive(Clone, Debug)]
pub struct Searched {
    pub(super) hypotheses: Vec<Hypothesis>,
    /// In the order of the hypotheses that they lead to.
    pub(super) arcs: Vec<Arc>,
    /// The number of nodes of the lattice.
    pub(super) nodes: usize,
}

/// A node with a history.
#[derive(Clone, Debug)]
pub(super) struct Hypothesis {
    pub(super) node: usize,
    context: usize,
    /// The last words that tell it apart.
    recent: Vec<usize>,
    has_words: bool,
    /// The score of the best path to it.
    pub(super) score: f64,
    /// The arcs that lead to it.
    pub(super) arcs: std::ops::Range<usize>,
}

/// A link, from a node with a history to another.
#[derive(Clone, Debug)]
pub(super) struct Arc {
    pub(super) from: usize,
    pub(super) link: usize,
    /// The language model's log-probability of its word, and of the sentence end at the last node.
    pub(super) log_prob: f64,
    /// The combined score.
    pub(super) score: f64,
}

/// A hypothesis on its way along a link.
struct Step {
    from: usize,
    link: usize,
    context: usize,
    is_first: bool,
    /// The tokens that have been read.
    read: usize,
    /// The log-probability of the word's tokens, and of the sentence end.
    word: f64,
    end: f64,
}

impl LatticeScorer {
    pub(crate) fn new(codec: TextCodec, decoder: Decoder) -> LatticeScorer {
        LatticeScorer { codec, decoder, ngram: None, impossible: 0, contexts: 0 }
    }

    /// The same, interpolated with an n-gram model.
    #[must_use]
    pub fn with_ngram(self, interpolation: Interpolation) -> LatticeScorer {
        LatticeScorer { ngram: Some(interpolation), ..self }
    }

    /// The number of words of lattices that the model does not know, where it has no unknown token: paths with them have
    /// the log-probability minus infinity.
    #[must_use]
    pub fn impossible(&self) -> u64 {
        self.impossible
    }

    /// The number of histories that the model has read so far.
    #[must_use]
    pub fn histories(&self) -> u64 {
        self.contexts
    }

    /// Searches a lattice with these weights; returns what was found and its `n` best paths with different words, best
    /// first. A path is a hypothesis with the acoustic score and, if the lattice has them, the old language model's score.
    ///
    /// # Errors
    /// [`InferError::Lattice`] if an exact search has too many hypotheses, or there is nothing to interpolate with;
    /// [`InferError::NonFiniteLogits`] if the model predicts no distribution; [`InferError::Data`] if a word cannot be
    /// encoded.
    pub fn search(
        &mut self,
        lattice: &Lattice,
        weights: &Weights,
        settings: &Settings,
    ) -> Result<(Searched, Vec<Scored>)> {
        let fault = |fault| InferError::Lattice {
            origin: lattice.origin.clone(),
            id: lattice.id().to_owned(),
            fault,
        };
        if settings.interpolation > 0.0 && (!lattice.has_lm() || lattice.has_posteriors()) {
            return Err(fault(LatticeFault::NoOldScores));
        }
        let pieces = Pieces::new(&self.codec, lattice)?;
        self.impossible +=
            (0..lattice.words().len()).filter(|&word| pieces.of(word, true).is_none()).count() as u64;
        let mut contexts =
            Contexts::new(&mut self.decoder, self.ngram.as_ref(), &pieces, settings.batch_size)?;
        let scale = Scale::new(lattice, weights, settings);
        let mut run = Run { lattice, pieces: &pieces, scale: &scale, contexts: &mut contexts, settings };
        let mut found =
            run.levels(None)?.ok_or_else(|| fault(LatticeFault::TooLarge { limit: settings.limit }))?;
        let mut best = run.rescored(&found, found.best(lattice, settings.n))?;
        if settings.exact {
            // What is worse than paths that are known cannot be among the best.
            let floor = if best.len() < settings.n { f64::NEG_INFINITY } else { best[settings.n - 1].1 };
            let too_large = || fault(LatticeFault::TooLarge { limit: settings.limit });
            found = run.levels(Some(floor))?.ok_or_else(too_large)?;
            best = run.rescored(&found, found.best(lattice, settings.n))?;
        }
        self.contexts += contexts.len() as u64;
        Ok((found, best.into_iter().map(|(path, _)| path).collect()))
    }
}

/// The combined score of links.
struct Scale {
    acoustic: f64,
    lm: f64,
    model: f64,
    word_bonus: f64,
    mixture: Option<Mixture>,
    words: Vec<usize>,
}

impl Scale {
    fn new(lattice: &Lattice, weights: &Weights, settings: &Settings) -> Scale {
        let weight = |place: usize| weights.scores.get(place).copied().unwrap_or(1.0);
        Scale {
            acoustic: weight(0),
            lm: if lattice.has_lm() { weight(1) } else { 0.0 },
            model: weights.lm,
            word_bonus: weights.word_bonus,
            mixture: (settings.interpolation > 0.0).then(|| Mixture::new(settings.interpolation)),
            // A word in quotation marks can be several.
            words: lattice.words().iter().map(|word| word.split_whitespace().count()).collect(),
        }
    }

    /// The part of a link's score that does not depend on its history.
    fn other(&self, link: &Link) -> f64 {
        let words = link.word.map_or(0, |word| self.words[word]);
        self.acoustic * link.acoustic + self.lm * link.lm + self.word_bonus * words as f64
    }

    /// The score of a difference of this many nats of the language model.
    fn of_nats(&self, nats: f64) -> f64 {
        nats * if self.model > 0.0 { self.model } else { 1.0 }
    }
}

/// A search of a lattice.
struct Run<'a, 'b> {
    lattice: &'a Lattice,
    pieces: &'a Pieces,
    scale: &'a Scale,
    contexts: &'a mut Contexts<'b>,
    settings: &'a Settings,
}

impl Run<'_, '_> {
    /// Searches level by level. With a floor, the search is exact for paths whose score is not below it. `None` if it has
    /// more hypotheses than allowed.
    fn levels(&mut self, floor: Option<f64>) -> Result<Option<Searched>> {
        let (lattice, scale) = (self.lattice, self.scale);
        let other = |link: &Link| scale.other(link);
        let to_end = lattice.best_to_end(&other);
        let from_start = lattice.best_from_start(&other);
        // Rounding must not drop the best path itself.
        let floor = floor.map(|floor| floor - 1e-6 * (1.0 + floor.abs()));
        let lowest = match floor {
            Some(_) => f64::NEG_INFINITY,
            None => to_end[0] - scale.of_nats(LINK_BEAM * self.settings.beam),
        };
        let mut level_of = vec![0usize; lattice.nodes()];
        let mut into = vec![Vec::new(); lattice.nodes()];
        for (place, link) in lattice.links().iter().enumerate() {
            level_of[link.to] = level_of[link.to].max(level_of[link.from] + 1);
            if from_start[link.from] + other(link) + to_end[link.to] >= lowest {
                into[link.to].push(place);
            }
        }
        let mut levels = vec![Vec::new(); level_of.iter().max().map_or(0, |last| last + 1)];
        for (node, &level) in level_of.iter().enumerate() {
            levels[level].push(node);
        }
        let root = Hypothesis {
            node: 0,
            context: ROOT,
            recent: Vec::new(),
            has_words: false,
            score: 0.0,
            arcs: 0..0,
        };
        let mut found = Searched { hypotheses: vec![root], arcs: Vec::new(), nodes: lattice.nodes() };
        let mut at = vec![Vec::new(); lattice.nodes()];
        at[0].push(0);
        for level in levels.iter().skip(1) {
            let mut steps = Vec::new();
            for &node in level {
                for &link in &into[node] {
                    for &from in &at[lattice.links()[link].from] {
                        let hypothesis: &Hypothesis = &found.hypotheses[from];
                        let score = hypothesis.score + other(&lattice.links()[link]) + to_end[node];
                        // The model's log-probabilities are not above 0.
                        if scale.model >= 0.0 && floor.is_some_and(|floor| score < floor) {
                            continue;
                        }
                        steps.push(Step::new(from, link, hypothesis.context, !hypothesis.has_words));
                    }
                }
            }
            self.advance(&mut steps)?;
            let mut rest = steps.as_slice();
            for &node in level {
                let count = rest.iter().take_while(|step| lattice.links()[step.link].to == node).count();
                let (here, others) = rest.split_at(count);
                rest = others;
                let first = found.hypotheses.len();
                self.merge(node, here, &mut found, floor.map(|floor| floor - to_end[node]));
                at[node] = (first..found.hypotheses.len()).collect();
                if floor.is_some() && found.hypotheses.len() > self.settings.limit {
                    return Ok(None);
                }
            }
        }
        Ok(Some(found))
    }

    /// Reads the words of links, all together: a token of each in one batch.
    fn advance(&mut self, steps: &mut [Step]) -> Result<()> {
        loop {
            let open: Vec<usize> =
                (0..steps.len()).filter(|&at| self.next_token(&steps[at]).is_some()).collect();
            if open.is_empty() {
                return Ok(());
            }
            self.contexts.predict(open.iter().map(|&at| steps[at].context))?;
            for step in open {
                let step = &mut steps[step];
                let Some((token, is_end)) = self.next_token(step) else { continue };
                let (context, log_prob) = self.contexts.step(step.context, token);
                step.context = context;
                step.read += 1;
                *(if is_end { &mut step.end } else { &mut step.word }) += log_prob;
            }
        }
    }

    /// The tokens of a link's word; `None` if the model has none for it.
    fn tokens(&self, step: &Step) -> Option<&[u32]> {
        let word = self.lattice.links()[step.link].word;
        word.map_or(Some(&[]), |word| self.pieces.of(word, step.is_first))
    }

    /// The next token of a step, and whether it is the sentence end.
    fn next_token(&self, step: &Step) -> Option<(u32, bool)> {
        let word = self.tokens(step).unwrap_or_default();
        if let Some(&token) = word.get(step.read) {
            return Some((token, false));
        }
        let is_last = self.is_last(step) && step.read == word.len();
        self.pieces.end().filter(|_| is_last).map(|end| (end, true))
    }

    fn is_last(&self, step: &Step) -> bool {
        self.lattice.links()[step.link].to + 1 == self.lattice.nodes()
    }

    /// The log-probability of what a step has read, interpolated with the lattice's own.
    fn log_prob(&self, step: &Step) -> f64 {
        let link = &self.lattice.links()[step.link];
        let word = if self.tokens(step).is_some() { step.word } else { IMPOSSIBLE };
        match self.scale.mixture {
            Some(mixture) if link.word.is_some() => step.end - mixture.nll(0.0 - word, link.lm),
            // The old score of a link into the last node without a word is that of the sentence end.
            Some(mixture) if self.is_last(step) => 0.0 - mixture.nll(0.0 - step.end, link.lm),
            _ => word + step.end,
        }
    }

    /// Makes hypotheses of what has arrived at a node. With a floor, those below it are dropped; otherwise those below the
    /// beam, and too many.
    fn merge(&self, node: usize, steps: &[Step], found: &mut Searched, floor: Option<f64>) {
        let mut places: HashMap<(usize, Vec<usize>), usize> = HashMap::new();
        let mut groups: Vec<(Hypothesis, Vec<Arc>)> = Vec::new();
        for step in steps {
            let (link, from) = (&self.lattice.links()[step.link], &found.hypotheses[step.from]);
            let log_prob = self.log_prob(step);
            let score = self.scale.other(link) + self.scale.model * log_prob;
            let arc = Arc { from: step.from, link: step.link, log_prob, score };
            let score = from.score + score;
            let mut recent = from.recent.clone();
            if floor.is_none() {
                recent.extend(link.word);
                recent.drain(..recent.len().saturating_sub(self.settings.merge));
            }
            let key = (if floor.is_some() { step.context } else { ROOT }, recent);
            match places.get(&key) {
                Some(&place) => {
                    let (best, arcs) = &mut groups[place];
                    if score > best.score {
                        (best.score, best.context) = (score, step.context);
                    }
                    arcs.push(arc);
                }
                None => {
                    let has_words = from.has_words || link.word.is_some();
                    let recent = key.1.clone();
                    places.insert(key, groups.len());
                    let best =
                        Hypothesis { node, context: step.context, recent, has_words, score, arcs: 0..0 };
                    groups.push((best, vec![arc]));
                }
            }
        }
        groups.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
        let best = groups.first().map_or(0.0, |(best, _)| best.score);
        let lowest = floor.unwrap_or(best - self.scale.of_nats(self.settings.beam));
        let most = if floor.is_some() { usize::MAX } else { self.settings.per_node };
        let kept =
            groups.into_iter().take(most).filter(|(one, _)| one.score >= lowest || self.scale.model < 0.0);
        for (mut one, arcs) in kept {
            let first = found.arcs.len();
            found.arcs.extend(arcs);
            one.arcs = first..found.arcs.len();
            found.hypotheses.push(one);
        }
    }

    /// The hypotheses of paths with their combined scores, best first. Where histories were merged, the model reads the
    /// words of each path again, all paths together.
    fn rescored(&mut self, found: &Searched, paths: Vec<Vec<usize>>) -> Result<Vec<(Scored, f64)>> {
        let links = |path: &[usize]| path.iter().map(|&arc| found.arcs[arc].link).collect::<Vec<_>>();
        let all: Vec<Vec<usize>> = paths.iter().map(|path| links(path)).collect();
        let mut log_probs = vec![0.0; all.len()];
        let mut at = vec![(ROOT, true); all.len()];
        for place in 0..all.iter().map(Vec::len).max().unwrap_or_default() {
            let going: Vec<usize> = (0..all.len()).filter(|&path| place < all[path].len()).collect();
            let step = |&path: &usize| Step::new(0, all[path][place], at[path].0, at[path].1);
            let mut steps: Vec<Step> = going.iter().map(step).collect();
            self.advance(&mut steps)?;
            for (path, step) in going.into_iter().zip(&steps) {
                let is_word = self.lattice.links()[step.link].word.is_some();
                log_probs[path] += self.log_prob(step);
                at[path] = (step.context, at[path].1 && !is_word);
            }
        }
        let scored = all.iter().zip(log_probs).map(|(links, log_prob)| {
            let links = || links.iter().map(|&link| &self.lattice.links()[link]);
            let words: Vec<&str> = links()
                .filter_map(|link| link.word)
                .map(|word| self.lattice.words()[word].as_str())
                .collect();
            let acoustic = links().map(|link| link.acoustic).sum();
            let lm = self.lattice.has_lm().then(|| links().map(|link| link.lm).sum());
            let score = links().map(|link| self.scale.other(link)).sum::<f64>() + self.scale.model * log_prob;
            let lm_log_prob = if log_prob <= IMPOSSIBLE { f64::NEG_INFINITY } else { log_prob };
            let scores = std::iter::once(acoustic).chain(lm).collect();
            (Scored { text: words.join(" "), scores, lm_log_prob, source: String::new() }, score)
        });
        let mut scored: Vec<(Scored, f64)> = scored.collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(scored)
    }
}

impl Step {
    fn new(from: usize, link: usize, context: usize, is_first: bool) -> Step {
        Step { from, link, context, is_first, read: 0, word: 0.0, end: 0.0 }
    }
}

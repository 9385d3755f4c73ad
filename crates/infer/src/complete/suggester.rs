//! Completions of a text that grows, for keyboards and editors: only what is new is read.

use rondo_nn::State;

use super::{Completer, Completing, Completion};
use crate::distribution::OwnedDistribution;
use crate::{InferError, Predictor, Result};

/// Completes a text again and again while it is written. A word model keeps its state, which is small: however long the text
/// is, a new word costs one step, or as many as there are new words, and a keystroke within a word costs none.
///
/// Results are those of [`Completer::complete`]. Models of characters and bytes search for words, and read the text each
/// time.
///
/// ```no_run
/// use rondo_infer::{Completing, LanguageModel};
/// use rondo_kernels::Device;
///
/// let model = LanguageModel::open("runs/ptb-1", &Device::cpu(1)?)?;
/// let mut suggester = model.suggester();
/// let completing = Completing { top: 3, partial: true, ..Completing::default() };
/// for text in ["the", "the c", "the co", "the company "] {
///     println!("{:?}", suggester.suggest(text, &completing)?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Suggester {
    completer: Completer,
    /// The ids that have been read, the state after them, and the last of them.
    read: Vec<u32>,
    state: State,
    last: u32,
    /// What the model predicted last, and after which ids.
    predicted: Option<(Vec<u32>, OwnedDistribution)>,
}

impl Suggester {
    /// A suggester that has read nothing yet.
    #[must_use]
    pub fn new(completer: Completer) -> Suggester {
        let (state, last) = (completer.handle.model().zero_state(1), completer.handle.start());
        Suggester { completer, read: vec![], state, last, predicted: None }
    }

    /// Learns the words of a text that the user has written: they become words of the user's own
    /// ([`UserWords::learn`](super::UserWords::learn)).
    ///
    /// # Errors
    /// [`InferError::NeedsWords`] unless the model is one of words.
    pub fn learn(&mut self, text: &str) -> Result<()> {
        let Completer { choice, codec, .. } = &mut self.completer;
        choice.learn(codec, text)
    }

    /// The most likely words after `text`, as [`Completer::complete`] finds them. If the text does not begin with the one
    /// before, it is read from its beginning.
    ///
    /// # Errors
    /// As [`Completer::complete`].
    pub fn suggest(&mut self, text: &str, completing: &Completing) -> Result<Vec<Completion>> {
        let Completer { handle, codec, .. } = &self.completer;
        if !codec.is_of_words() || completing.top == 0 {
            return self.completer.complete(text, completing);
        }
        let written = self.completer.written(text, completing.partial);
        let ids = codec.prompt(&written.before)?;
        if let Some((_, distribution)) = self.predicted.as_ref().filter(|(known, _)| *known == ids) {
            return Ok(self.completer.choose(&distribution.get(), &written, completing));
        }
        let Some((last, before)) = ids.split_last() else { return Err(InferError::EmptyPrefix) };
        if !before.starts_with(&self.read) {
            self.state.clear();
            self.last = handle.start();
            self.read.clear();
        }
        let new = &before[self.read.len()..];
        self.last = handle.read_more(&mut handle.workspace(), new, (&mut self.state, self.last));
        self.read.extend_from_slice(new);

        let state = self.state.select(handle.device(), &[0]);
        let (mut completions, mut predicted) = (vec![], None);
        Predictor::after(handle, state, self.last).read(std::slice::from_ref(last), |_, distribution| {
            completions = self.completer.choose(&distribution, &written, completing);
            predicted = Some(distribution.to_owned_values());
        })?;
        self.predicted = predicted.map(|distribution| (ids, distribution));
        Ok(completions)
    }
}

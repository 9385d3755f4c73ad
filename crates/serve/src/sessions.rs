//! States of texts that are being written, so that a keystroke costs one step.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rondo_infer::Suggester;

/// How long an unused session is kept.
const LIFETIME: Duration = Duration::from_secs(600);
/// The number of sessions that are kept. The one that was not used for longest goes first.
const MOST: usize = 1_024;
/// The longest id of a session, in bytes.
pub(crate) const LONGEST_ID: usize = 128;

/// The sessions of all models.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<(String, String), (Instant, Suggester)>>);

impl Sessions {
    /// Takes the suggester of a session out, if there is one that no other request uses.
    pub(crate) fn take(&self, model: &str, session: &str) -> Option<Suggester> {
        let mut known = self.0.lock().ok()?;
        known.remove(&(model.to_owned(), session.to_owned())).map(|(_, suggester)| suggester)
    }

    /// Keeps the suggester of a session until it is used again.
    pub(crate) fn keep(&self, model: &str, session: &str, suggester: Suggester) {
        self.keep_at(Instant::now(), model, session, suggester);
    }

    fn keep_at(&self, now: Instant, model: &str, session: &str, suggester: Suggester) {
        let Ok(mut known) = self.0.lock() else { return };
        known.retain(|_, (used, _)| now.saturating_duration_since(*used) < LIFETIME);
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| known.remove(&key));
        }
        known.insert((model.to_owned(), session.to_owned()), (now, suggester));
    }
}

#[cfg(test)]
mod tests {
    use rondo_data::{TextCodec, Tokenizer, Vocab};
    use rondo_infer::LanguageModel;
    use rondo_kernels::Device;
    use rondo_nn::{PRESETS, RnnLm};

    use super::*;

    #[test]
    fn sessions_end_when_they_are_old_or_too_many() {
        let vocab = Vocab::from_tokens("test", ["<eos>", "a"], None).unwrap();
        let model = RnnLm::new(PRESETS[0].config(2), &Device::cpu(1).unwrap()).unwrap();
        let model = LanguageModel::new(model, TextCodec::new(Tokenizer::words(), vocab)).unwrap();
        let (sessions, begun) = (Sessions::default(), Instant::now());
        sessions.keep_at(begun, "m", "first", model.suggester());
        sessions.keep_at(begun + LIFETIME / 2, "m", "second", model.suggester());
        sessions.keep_at(begun + LIFETIME, "m", "third", model.suggester());
        assert!(sessions.take("m", "first").is_none());
        assert!(sessions.take("other", "second").is_none());
        assert!(sessions.take("m", "second").is_some());
        assert!(sessions.take("m", "second").is_none());
        for number in 0..MOST {
            sessions.keep_at(begun + LIFETIME * 5 / 4, "m", &number.to_string(), model.suggester());
        }
        assert!(sessions.take("m", "third").is_none());
    }
}

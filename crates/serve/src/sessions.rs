//! States of texts that are being written, so that a keystroke costs one step.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rondo_infer::{Preferences, Suggester};

/// How long an unused session is kept.
const LIFETIME: Duration = Duration::from_secs(600);
/// The number of sessions that are kept. The one that was not used for longest goes first.
const MOST: usize = 1_024;
/// The longest id of a session, in bytes.
pub(crate) const LONGEST_ID: usize = 128;

/// The sessions of all models.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<(String, String), (Instant, Session)>>);

/// A text that is being written, by a user with these preferences.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) preferences: Preferences,
    pub(crate) suggester: Suggester,
}

impl Sessions {
    /// Takes a session out, if there is one that no other request uses.
    pub(crate) fn take(&self, model: &str, id: &str) -> Option<Session> {
        let mut known = self.0.lock().ok()?;
        known.remove(&(model.to_owned(), id.to_owned())).map(|(_, session)| session)
    }

    /// Keeps a session until it is used again.
    pub(crate) fn keep(&self, model: &str, id: &str, session: Session) {
        self.keep_at(Instant::now(), model, id, session);
    }

    fn keep_at(&self, now: Instant, model: &str, id: &str, session: Session) {
        let Ok(mut known) = self.0.lock() else { return };
        known.retain(|_, (used, _)| now.saturating_duration_since(*used) < LIFETIME);
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| known.remove(&key));
        }
        known.insert((model.to_owned(), id.to_owned()), (now, session));
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
        let session = || Session { preferences: Preferences::default(), suggester: model.suggester() };
        sessions.keep_at(begun, "m", "first", session());
        sessions.keep_at(begun + LIFETIME / 2, "m", "second", session());
        sessions.keep_at(begun + LIFETIME, "m", "third", session());
        assert!(sessions.take("m", "first").is_none());
        assert!(sessions.take("other", "second").is_none());
        assert!(sessions.take("m", "second").is_some());
        assert!(sessions.take("m", "second").is_none());
        for number in 0..MOST {
            sessions.keep_at(begun + LIFETIME * 5 / 4, "m", &number.to_string(), session());
        }
        assert!(sessions.take("m", "third").is_none());
    }
}

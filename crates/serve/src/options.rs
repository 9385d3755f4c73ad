//! How the server behaves: its address, keys and limits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use subtle::ConstantTimeEq;

/// The options of a [`Server`](crate::Server).
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 is any free one.
    pub port: u16,
    /// The keys of clients. An address that is not of this machine needs at least one.
    pub keys: ApiKeys,
    /// What a request may ask for.
    pub limits: Limits,
    /// How long running requests may take after the server was asked to stop.
    pub grace: Duration,
    /// The folder of the runs that the page shows.
    pub runs: Option<PathBuf>,
    /// Whether prompts are logged.
    pub log_prompts: bool,
}

impl Default for ServeOptions {
    /// Port 8080 of this machine, without keys and runs; 10 seconds of grace.
    fn default() -> Self {
        ServeOptions {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8080,
            keys: ApiKeys::default(),
            limits: Limits::default(),
            grace: Duration::from_secs(10),
            runs: None,
            log_prompts: false,
        }
    }
}

/// What requests may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of a request, in bytes.
    pub body_bytes: usize,
    /// The longest prompt, in tokens; also of all texts of a request to score.
    pub prompt_tokens: usize,
    /// The longest generated text, in tokens.
    pub max_tokens: usize,
    /// The number of texts that a model generates at the same time.
    pub streams: usize,
    /// The number of requests that wait for a model. More get 429.
    pub queue: usize,
    /// How long a client may take to send a request, or to take a part of the answer.
    pub client_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes: 1 << 20,
            prompt_tokens: 100_000,
            max_tokens: 4_096,
            streams: 64,
            queue: 256,
            client_timeout: Duration::from_secs(30),
        }
    }
}

/// The keys that clients authenticate with. Without keys, none is needed.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<String>);

impl ApiKeys {
    /// The keys in a text, one per line. Whitespace around them, blank lines and lines that begin with `#` are ignored.
    #[must_use]
    pub fn from_lines(text: &str) -> ApiKeys {
        let keys = text.lines().map(str::trim).filter(|key| !key.is_empty() && !key.starts_with('#'));
        ApiKeys(keys.map(str::to_owned).collect())
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of the keys. The time does not depend on how much of a key is right.
    pub(crate) fn contains(&self, given: &[u8]) -> bool {
        self.0.iter().fold(false, |found, key| found | bool::from(key.as_bytes().ct_eq(given)))
    }
}

impl fmt::Debug for ApiKeys {
    /// Only their number: keys are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_lines_of_a_file_and_never_printed() {
        let keys = ApiKeys::from_lines("# clients\n sk-one \n\nsk-two\r\n");
        assert!(keys.contains(b"sk-one") && keys.contains(b"sk-two"));
        for other in ["", "sk-", "sk-one ", "sk-three", "# clients"] {
            assert!(!keys.contains(other.as_bytes()), "{other:?}");
        }
        assert_eq!(format!("{keys:?}"), "ApiKeys(2)");
        assert!(ApiKeys::from_lines("\n# none\n").is_empty());
    }
}

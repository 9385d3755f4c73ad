//! The random numbers of a run: streams of its seed, one for each purpose. Not here: dropout masks, which have a generator
//! of their own (`rondo_kernels`).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The uses of random numbers; each has its own stream.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    /// The initial parameters.
    Initialization,
    /// The order of the batches of an epoch.
    BatchOrder { epoch: usize },
    /// The order of the lines of an epoch.
    LineOrder { epoch: usize },
    /// The tokens of a sampled softmax in a step.
    SampledTokens { step: u64 },
}

/// The random number generator for one purpose.
pub(crate) fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match stream {
        Stream::Initialization => 0,
        Stream::BatchOrder { epoch } => 1 + epoch as u64,
        Stream::LineOrder { epoch } => (1 << 32) + epoch as u64,
        Stream::SampledTokens { step } => (1 << 48) + step,
    });
    rng
}

//! Lets a model continue a text.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_nn::{Mode, RnnLm, State, Workspace};

use crate::evaluate::check_ids;
use crate::rows::{copy_rows, read_on};
use crate::{InferError, Result, Sampler, Sampling};

/// Several continuations of one prefix, a token at a time.
///
/// Stream `i` draws from random numbers of its own, so the same seed gives the same text however many streams run
/// beside it. The state is carried without end; what an end-of-line token means is the caller's affair.
///
/// ```
/// use rondo_infer::{Generator, Sampling};
/// use rondo_kernels::Device;
/// use rondo_nn::{PRESETS, RnnLm, Workspace};
///
/// let device = Device::cpu(1)?;
/// let model = RnnLm::new(PRESETS[0].config(10), &device)?;
/// let mut workspace = Workspace::new(&device);
///
/// let sampling = Sampling { temperature: 0.5, forbidden: vec![0], ..Sampling::default() };
/// let mut generator = Generator::new(&model, &mut workspace, &[3, 1, 4], 2, &sampling, 7)?;
/// for _ in 0..5 {
///     let ids = generator.step()?;
///     assert!(ids.len() == 2 && !ids.contains(&0));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Generator<'m> {
    model: &'m RnnLm,
    workspace: &'m mut Workspace,
    sampler: Sampler,
    rngs: Vec<ChaCha8Rng>,
    /// The state before `ids`.
    state: State,
    /// The last token of each stream.
    ids: Vec<u32>,
}

impl<'m> Generator<'m> {
    /// Reads `prefix` from a zero state, ready to continue it in `streams` ways.
    ///
    /// A text that begins anew is best asked for with the token that ends lines as prefix, or at the prefix's
    /// beginning, as in [`TextCodec::prompt`](rondo_data::TextCodec::prompt).
    ///
    /// # Errors
    /// [`InferError::EmptyPrefix`], as there is nothing to continue then; [`InferError::ZeroSize`] for no streams;
    /// [`InferError::IdOutOfRange`] if the prefix has a token that is not the model's; and as [`Sampler::new`].
    pub fn new(
        model: &'m RnnLm,
        workspace: &'m mut Workspace,
        prefix: &[u32],
        streams: usize,
        sampling: &Sampling,
        seed: u64,
    ) -> Result<Self> {
        let sampler = Sampler::new(sampling, model.config().vocab_size, workspace.device())?;
        check_ids(model, prefix)?;
        let Some((&last, before)) = prefix.split_last() else {
            return Err(InferError::EmptyPrefix);
        };
        if streams == 0 {
            return Err(InferError::ZeroSize { name: "streams" });
        }
        // All streams share the prefix, so one row reads it for all.
        let mut state = model.zero_state(1);
        read_on(model, workspace, before, &mut state);
        let rngs = (0..streams as u64).map(|stream| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream);
            rng
        });
        let mut states = model.zero_state(streams);
        copy_rows(&state, &vec![0; streams], &mut states);
        Ok(Generator {
            model,
            workspace,
            sampler,
            rngs: rngs.collect(),
            state: states,
            ids: vec![last; streams],
        })
    }

    /// Draws the next token of each stream.
    ///
    /// # Errors
    /// [`InferError::NonFiniteLogits`] if the model predicts no distribution; the streams are of no use then.
    pub fn step(&mut self) -> Result<&[u32]> {
        let mut tape = self.workspace.tape(self.model.parameters(), Mode::Evaluate);
        let hidden = self.model.forward(&mut tape, &self.ids, &mut self.state);
        let logits = self.model.logits(&mut tape, hidden);
        self.sampler.draw_rows(tape.read(logits), &mut self.rngs, &mut self.ids)?;
        Ok(&self.ids)
    }
}

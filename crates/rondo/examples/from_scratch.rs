//! A recurrent network that learns to write, from first principles.
//!
//! It reads a text character by character and guesses, each time, which character comes next. What it has
//! read so far it remembers in a vector, its *hidden state* `h`. With `x` the character that has just been
//! read:
//!
//! ```text
//! h = tanh(x·Wxh + h·Whh + bh)      what is remembered now
//! y = h·Why + by                    how well each character would fit next: its *logit*
//! ```
//!
//! These two lines are the model. Everything else in this file feeds it, measures how wrong it is, and
//! changes the five tensors `Wxh`, `Whh`, `bh`, `Why` and `by` a little in the direction that would have made
//! it less wrong.
//!
//! ```console
//! cargo run --release --example from_scratch                           # on the built-in corpus, 3 epochs
//! cargo run --release --example from_scratch -- timemachine.txt 20     # on a text of yours, 20 epochs
//! ```
//!
//! The settings are those of the recipe `time-machine-char`, which runs the same model on fused operations; a
//! test holds the losses of the two together.

#![allow(clippy::print_stdout)] // An example talks to its reader.

use std::error::Error;
use std::time::Instant;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo::data::{Batches, LastChunk, Tales};
use rondo::kernels::Device;
use rondo::nn::{
    Gradient, Gradients, Initialiser, Loss, Mode, NnError, ParameterId, Parameters, State, Tape, Value,
    Workspace,
};

/// How many numbers the network remembers by.
const HIDDEN_SIZE: usize = 256;
/// How many places of the text are read side by side: they share the work of a product.
const BATCH_SIZE: usize = 32;
/// How many characters the error is traced back through.
const STEPS: usize = 64;
/// How far a step goes against the gradient, at first.
const LEARNING_RATE: f32 = 0.5;
/// After how many epochs it goes half as far.
const HALVE_EVERY: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (text, prefixes) = match arguments.next() {
        Some(path) => {
            let text = without_licence(&std::fs::read_to_string(path)?).to_owned();
            (text, ["The Time Ma", "The Medical Man rose, came to the lamp,"])
        }
        None => (built_in_text(), ["the captain that ", "a king "]),
    };
    let epochs: usize = arguments.next().map_or(Ok(3), |epochs| epochs.parse())?;

    // A network computes with numbers: each character becomes its place in the alphabet, its *id*.
    let mut alphabet: Vec<char> = text.chars().collect();
    alphabet.sort_unstable();
    alphabet.dedup();
    let id = |character: char| alphabet.binary_search(&character).ok().map(|id| id as u32);
    let ids: Vec<u32> = text.chars().filter_map(id).collect();
    println!("{} characters, {} distinct", ids.len(), alphabet.len());

    // The text is cut into 32 columns that are read side by side, 64 characters at a time. Row by row:
    // `inputs[t, b]` is character `t` of column `b`, and `targets[t, b]` the one after it, which is to be
    // guessed.
    let batches = Batches::new(&ids.clone().into(), BATCH_SIZE, STEPS, LastChunk::Discard)?;
    let (mut inputs, mut targets) = ([0; STEPS * BATCH_SIZE], [0; STEPS * BATCH_SIZE]);

    let device = Device::cpu(std::thread::available_parallelism()?.get())?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut network = Network::new(alphabet.len(), HIDDEN_SIZE, &device, &mut rng)?;
    let mut learner = Learner::new(&network);
    println!(
        "{} parameters; an even guess loses {:.2} nats",
        network.parameters.count(),
        (alphabet.len() as f64).ln()
    );

    // A single chunk's loss jumps about, so a moving one is reported: mostly the past, a little news.
    let mut moving_loss = None;
    for epoch in 0..epochs {
        let learning_rate = LEARNING_RATE * 0.5f32.powi((epoch / HALVE_EVERY) as i32);
        let started = Instant::now();
        // At the start of the text there is nothing to remember.
        let mut state = network.zero_state(BATCH_SIZE);
        for chunk in 0..batches.chunk_count() {
            batches.fill(batches.chunk(chunk), &mut inputs, &mut targets)?;
            let loss = learner.step(&mut network, &inputs, &targets, &mut state, learning_rate)?;
            moving_loss = Some(moving_loss.map_or(loss, |moving| 0.99 * moving + 0.01 * loss));
        }
        let per_second = batches.target_count() as f64 / started.elapsed().as_secs_f64();
        let moving_loss = moving_loss.unwrap_or(f64::NAN);
        println!("\nepoch {}: moving loss {moving_loss:.3}, {per_second:.0} characters/s", epoch + 1);
        for prefix in prefixes {
            let mut prefix_ids: Vec<u32> = prefix.chars().filter_map(id).collect();
            if prefix_ids.is_empty() {
                prefix_ids.push(ids[0]); // A text in other letters: it begins as that does.
            }
            let sample = network.sample(&prefix_ids, 200, 0.1, &mut rng)?;
            println!(
                "  {}",
                sample.iter().map(|&id| alphabet[id as usize]).collect::<String>().replace('\n', " ")
            );
        }
    }
    Ok(())
}

/// The network: its parameters, and where among them each tensor is.
pub struct Network {
    /// All five tensors, by name.
    pub parameters: Parameters,
    vocab_size: usize,
    hidden_size: usize,
    wxh: ParameterId,
    whh: ParameterId,
    bh: ParameterId,
    why: ParameterId,
    by: ParameterId,
}

impl Network {
    /// A network that knows nothing: small random numbers. (Zeros would not do: all hidden units would start
    /// alike, receive the same gradient, and stay alike for ever.)
    pub fn new(
        vocab_size: usize,
        hidden_size: usize,
        device: &Device,
        rng: &mut impl Rng,
    ) -> Result<Network, NnError> {
        let mut parameters = Parameters::new(device);
        let mut draw = |name: &str, shape: [usize; 2]| -> Result<ParameterId, NnError> {
            let id = parameters.add(name, &shape);
            let mut values = vec![0.0; shape[0] * shape[1]];
            Initialiser::Normal(0.01).fill(shape[0], shape[1], &mut values, rng);
            parameters.values_mut(id).write_from(&values)?;
            Ok(id)
        };
        let wxh = draw("wxh", [vocab_size, hidden_size])?;
        let whh = draw("whh", [hidden_size, hidden_size])?;
        let bh = draw("bh", [1, hidden_size])?;
        let why = draw("why", [hidden_size, vocab_size])?;
        let by = draw("by", [1, vocab_size])?;
        Ok(Network { parameters, vocab_size, hidden_size, wxh, whh, bh, why, by })
    }

    /// A state of zeros for `batch` rows.
    pub fn zero_state(&self, batch: usize) -> State {
        State::zeros(self.parameters.device(), batch, [("hidden", self.hidden_size)])
    }

    /// Reads `ids: [T, B]` from `state: [B, H]`, leaves the last state there, and returns the logits, a row
    /// for each id.
    ///
    /// The operations compute at once; the tape remembers them, so as to run them back later.
    pub fn forward(&self, tape: &mut Tape<'_>, ids: &[u32], state: &mut State) -> Value {
        let batch = state.batch();
        let [wxh, whh, bh] = [self.wxh, self.whh, self.bh].map(|id| tape.parameter(id));
        let [why, by] = [self.why, self.by].map(|id| tape.parameter(id));

        // The state enters as plain numbers: the error is not traced back into the chunk before. That is the
        // truncation in "truncated back-propagation through time".
        let mut h = tape.state(&state.parts()[0]);
        let mut remembered = Vec::new();
        for ids in ids.chunks_exact(batch) {
            // A character is a row of zeros with a one at its place. The product picks the row of `Wxh` that
            // is its own.
            let x = tape.one_hot(ids, self.vocab_size);
            let from_input = tape.product(x, wxh);
            let from_memory = tape.product(h, whh);
            let sum = tape.add(from_input, from_memory);
            let sum = tape.add_row(sum, bh);
            h = tape.tanh(sum);
            remembered.push(h);
        }
        tape.keep(h, &mut state.parts_mut()[0]);

        // What was remembered at all steps, one below the other, is decoded at once.
        let hidden = tape.join_rows(&remembered);
        let logits = tape.product(hidden, why);
        tape.add_row(logits, by)
    }

    /// Goes on writing after `prefix`, of one character or more, for `count` characters, which it draws from
    /// its own predictions.
    ///
    /// The `temperature` says how boldly: at 0.1 the likeliest character nearly always wins, at 1 each is
    /// drawn as often as the network thinks it is right, at 1000 all are equally likely.
    pub fn sample(
        &self,
        prefix: &[u32],
        count: usize,
        temperature: f32,
        rng: &mut impl Rng,
    ) -> Result<Vec<u32>, NnError> {
        let mut workspace = Workspace::new(self.parameters.device());
        let mut state = self.zero_state(1);
        let mut written = prefix.to_vec();
        let mut unread = prefix.to_vec();
        for _ in 0..count {
            let mut tape = workspace.tape(&self.parameters, Mode::Evaluate);
            let logits = self.forward(&mut tape, &unread, &mut state);
            let probabilities = tape.softmax(logits, temperature);
            let probabilities = tape.read(probabilities)?;
            let last = probabilities.chunks_exact(self.vocab_size).next_back().unwrap_or(&[]);
            let next = draw(last, rng);
            written.push(next);
            unread = vec![next];
        }
        Ok(written)
    }
}

/// What learning needs and keeps from step to step, so that only the first has to ask for memory.
pub struct Learner {
    workspace: Workspace,
    gradients: Gradients,
}

impl Learner {
    /// A learner for this network.
    pub fn new(network: &Network) -> Learner {
        Learner {
            workspace: Workspace::new(network.parameters.device()),
            gradients: Gradients::new(&network.parameters),
        }
    }

    /// Learns from one chunk; returns its loss, the mean over all characters, in nats.
    pub fn step(
        &mut self,
        network: &mut Network,
        inputs: &[u32],
        targets: &[u32],
        state: &mut State,
        learning_rate: f32,
    ) -> Result<f64, NnError> {
        // Forward. The loss of a guess is −ln p, where p is the probability given to the character that came:
        // 0 if the network was sure of it, and the larger the more surprised it was.
        let mode = Mode::Train { seed: 0, step: 0 }; // Only dropout would draw from these.
        let mut tape = self.workspace.tape(&network.parameters, mode);
        let logits = network.forward(&mut tape, inputs, state);
        let losses: Loss = tape.cross_entropy(logits, targets);
        let loss = tape.nll_sum(losses)? / targets.len() as f64;

        // Backward: how the mean loss would change with each parameter.
        self.gradients.clear();
        tape.backward(losses, 1.0 / targets.len() as f32, &mut self.gradients)?;
        drop(tape);

        // Gradient descent: each parameter goes a little way against its gradient.
        for id in network.parameters.ids() {
            if let Gradient::Dense(gradient) = self.gradients.get(id) {
                let mut values = network.parameters.values(id).read()?.into_owned();
                for (value, slope) in values.iter_mut().zip(&*gradient.read()?) {
                    *value -= learning_rate * slope;
                }
                network.parameters.values_mut(id).write_from(&values)?;
            }
        }
        Ok(loss)
    }
}

/// One of these, each with its probability.
fn draw(probabilities: &[f32], rng: &mut impl Rng) -> u32 {
    let mut left: f32 = rng.random();
    let drawn = probabilities.iter().position(|probability| {
        left -= probability;
        left < 0.0
    });
    // Rounding may leave a little of the 1 that they should sum to.
    drawn.unwrap_or(probabilities.len() - 1) as u32
}

/// The text of a book by Project Gutenberg, without the licence at its end.
fn without_licence(text: &str) -> &str {
    text.split_once("End of Project Gutenberg").map_or(text, |(text, _)| text)
}

/// As many sentences of the built-in corpus as make a short novel.
fn built_in_text() -> String {
    Tales::new().sentences(Tales::SEED, 0).take(3_000).map(|sentence| sentence + "\n").collect()
}

//! A recurrent network that learns to write, from first principles.
//!
//! It reads a text character by character and predicts, at each step, which character comes next. It stores
//! what it has read so far in a vector, its *hidden state* `h`. With `x` the character just read:
//!
//! ```text
//! h = tanh(x·Wxh + h·Whh + bh)      the new hidden state
//! y = h·Why + by                    a score for each possible next character: its *logit*
//! ```
//!
//! These two lines are the model. This file is everything a custom model needs: its parameters, and how it
//! computes. The library does the rest: it cuts the text into batches, measures how wrong the predictions are
//! (the loss), propagates the error back through the operations, updates the five tensors a little in the
//! direction that reduces the loss, saves the best model, and generates text.
//!
//! ```console
//! cargo run --release -p rondo-lm --example from_scratch                           # the built-in corpus, 3 epochs
//! cargo run --release -p rondo-lm --example from_scratch -- timemachine.txt 20     # your text, 20 epochs
//! ```
//!
//! The settings are those of the recipe `time-machine-char`, which trains the same network with fused
//! operations. A test compares the losses of the two.

#![allow(clippy::print_stdout)] // The example reports its progress.

use std::error::Error;
use std::ops::ControlFlow;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo::data::{Corpus, CorpusTexts, Tales, TextSource};
use rondo::infer::StreamOptions;
use rondo::kernels::Device;
use rondo::nn::{Hidden, Initializer, Model, ParameterId, Parameters, Result, State, Tape, Value};
use rondo::runs::RunFolder;
use rondo::train::{Event, Plan, Settings, Trainer, recipes};

/// The network: its parameters, and the id of each tensor.
#[derive(Clone, Debug)]
pub struct Network {
    parameters: Parameters,
    wxh: ParameterId,
    whh: ParameterId,
    bh: ParameterId,
    why: ParameterId,
    by: ParameterId,
}

impl Network {
    /// An untrained network: small random parameters. (Zeros would not work: all hidden units would start the
    /// same, receive the same gradient, and stay the same forever.)
    pub fn new(
        vocab_size: usize,
        hidden_size: usize,
        device: &Device,
        rng: &mut impl Rng,
    ) -> Result<Network> {
        let mut parameters = Parameters::new(device);
        let mut random = |name: &str, shape: [usize; 2]| -> Result<ParameterId> {
            let id = parameters.add(name, &shape);
            let mut values = vec![0.0; shape[0] * shape[1]];
            Initializer::Normal(0.01).fill(shape[0], shape[1], &mut values, rng);
            parameters.values_mut(id).write_from(&values)?;
            Ok(id)
        };
        let wxh = random("wxh", [vocab_size, hidden_size])?;
        let whh = random("whh", [hidden_size, hidden_size])?;
        let bh = random("bh", [1, hidden_size])?;
        let why = random("why", [hidden_size, vocab_size])?;
        let by = random("by", [1, vocab_size])?;
        Ok(Network { parameters, wxh, whh, bh, why, by })
    }

    fn hidden_size(&self) -> usize {
        self.parameters.shape(self.whh)[0]
    }
}

impl Model for Network {
    /// Reads `ids: [T, B]`, that is `T` characters of each of `B` texts in parallel, from `state: [B, H]`.
    /// Stores the last state there and returns all hidden vectors.
    ///
    /// The operations compute immediately. The tape records them for the backward pass.
    fn forward(&self, tape: &mut Tape<'_>, ids: &[u32], state: &mut State) -> Hidden {
        let [wxh, whh, bh] = [self.wxh, self.whh, self.bh].map(|id| tape.parameter(id));
        // The state enters as constants: the error is not propagated back into the previous batch. That is
        // the truncation in "truncated backpropagation through time".
        let mut h = tape.state(&state.parts()[0]);
        let mut remembered = Vec::new();
        for ids in ids.chunks_exact(state.batch()) {
            // A character is a one-hot row. The multiplication selects its row of `Wxh`.
            let x = tape.one_hot(ids, self.vocab_size());
            let from_input = tape.product(x, wxh);
            let from_memory = tape.product(h, whh);
            let sum = tape.add(from_input, from_memory);
            let sum = tape.add_row(sum, bh);
            h = tape.tanh(sum);
            remembered.push(h);
        }
        tape.keep(h, &mut state.parts_mut()[0]);
        Hidden::new(tape.concat_rows(&remembered))
    }

    /// A row of logits for each hidden vector. Their softmax is the prediction; its cross-entropy is the
    /// loss.
    fn logits(&self, tape: &mut Tape<'_>, hidden: Hidden) -> Value {
        let [why, by] = [self.why, self.by].map(|id| tape.parameter(id));
        let logits = tape.product(hidden.dropped, why);
        tape.add_row(logits, by)
    }

    /// At the start of a text the hidden state is zero.
    fn zero_state(&self, batch: usize) -> State {
        State::zeros(self.parameters.device(), batch, [("hidden", self.hidden_size())])
    }

    fn vocab_size(&self) -> usize {
        self.parameters.shape(self.wxh)[0]
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// A description stored in the model file, so that no other model is read from it.
    fn description(&self) -> String {
        format!(r#"{{"from_scratch":[{},{}]}}"#, self.vocab_size(), self.hidden_size())
    }

    fn boxed_clone(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let text = match arguments.next() {
        Some(path) => TextSource::File(path.into()),
        None => TextSource::Memory { name: "built-in".into(), text: built_in_text() },
    };
    let epochs = arguments.next().unwrap_or_else(|| "3".to_owned());

    // The recipe's settings, except for the number of epochs and the settings specific to its text.
    let ours = format!(
        "[text]\ndrop_tail_chars = 0\n[training]\nepochs = {epochs}\n[sample]\nprefix = [\"\"]\nlength = 200\n"
    );
    let recipe = recipes::find("time-machine-char")?.settings;
    let plan = Plan::new(&recipe.overlaid_with(Settings::parse("from_scratch", &ours)?))?;
    // A network computes with numbers: each character becomes its index in the vocabulary, its *id*.
    let corpus = Corpus::read(&CorpusTexts::Whole(vec![text]), &plan.text.options)?;

    let device = Device::cpu(std::thread::available_parallelism()?.get())?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let network = Network::new(corpus.vocab().len(), 256, &device, &mut rng)?;
    println!("{} parameters, {} characters", network.parameters.count(), corpus.vocab().len());

    let folder = RunFolder::create_next("runs", "from-scratch", &plan.to_toml()?)?;
    let mut trainer = Trainer::with_model(plan, corpus, network)?;
    trainer.run(&folder, &mut |event: Event<'_>| {
        match event {
            Event::EpochFinished(epoch) => println!(
                "\nepoch {}: loss {:.3} nats per character, {:.0} characters/s",
                epoch.epoch, epoch.train_loss, epoch.tokens_per_s
            ),
            Event::Sample { text, .. } => println!("  {}", text.replace('\n', " ")),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;

    // The network is a language model like any other: it evaluates and generates texts.
    if let Some(model) = trainer.best_model()? {
        let evaluation = model.evaluate(&model.generate("", StreamOptions::default())?)?;
        println!("\nperplexity of its own text: {:.2}", evaluation.perplexity());
    }
    Ok(())
}

/// Enough sentences of the built-in corpus for a short novel.
fn built_in_text() -> String {
    Tales::new().sentences(Tales::SEED, 0).take(3_000).map(|sentence| sentence + "\n").collect()
}

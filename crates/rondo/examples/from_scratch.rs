//! A recurrent network that learns to write, from first principles.
//!
//! It reads a text character by character and predicts, each time, which character comes next. What it has read so far
//! it remembers in a vector, its *hidden state* `h`. With `x` the character that has just been read:
//!
//! ```text
//! h = tanh(x·Wxh + h·Whh + bh)      what is remembered now
//! y = h·Why + by                    how well each character would fit next: its *logit*
//! ```
//!
//! These two lines are the model, and this page is all there is to a model of your own: its parameters, and how it
//! computes. The library does the rest. It cuts the text into batches, measures how wrong the predictions are, traces the
//! error back through the operations, changes the five tensors a little in the direction that makes it smaller, saves
//! what is best, and lets the network write.
//!
//! ```console
//! cargo run --release -p rondo-lm --example from_scratch                           # the built-in corpus, 3 epochs
//! cargo run --release -p rondo-lm --example from_scratch -- timemachine.txt 20     # your text, 20 epochs
//! ```
//!
//! The settings are those of the recipe `time-machine-char`, which trains the same network from fused operations. A test
//! holds the losses of the two together.

#![allow(clippy::print_stdout)] // An example talks to its reader.

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

/// The network: its parameters, and where among them each tensor is.
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
    /// A network that knows nothing: small random numbers. (Zeros would not do: all hidden units would start alike,
    /// receive the same gradient, and stay alike forever.)
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
    /// Reads `ids: [T, B]`, that is `T` characters of each of `B` texts side by side, from `state: [B, H]`. Leaves the
    /// last state there and returns all hidden vectors.
    ///
    /// The operations compute at once. The tape remembers them, so as to run them back later.
    fn forward(&self, tape: &mut Tape<'_>, ids: &[u32], state: &mut State) -> Hidden {
        let [wxh, whh, bh] = [self.wxh, self.whh, self.bh].map(|id| tape.parameter(id));
        // The state enters as plain numbers: the error is not traced back into the batch before. That is the truncation
        // in "truncated backpropagation through time".
        let mut h = tape.state(&state.parts()[0]);
        let mut remembered = Vec::new();
        for ids in ids.chunks_exact(state.batch()) {
            // A character is a row of zeros with a one at its place. The product picks the row of `Wxh` that is its own.
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

    /// A row of logits for each hidden vector. Their softmax is the prediction, and its cross-entropy the loss.
    fn logits(&self, tape: &mut Tape<'_>, hidden: Hidden) -> Value {
        let [why, by] = [self.why, self.by].map(|id| tape.parameter(id));
        let logits = tape.product(hidden.dropped, why);
        tape.add_row(logits, by)
    }

    /// At the start of a text there is nothing to remember.
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

    /// What a file of the network says it is, so that no other model is read from it.
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

    // The recipe's settings, but for the number of epochs and what is about its own text.
    let ours = format!(
        "[text]\ndrop_tail_chars = 0\n[training]\nepochs = {epochs}\n[sample]\nprefix = [\"\"]\nlength = 200\n"
    );
    let recipe = recipes::find("time-machine-char")?.settings;
    let plan = Plan::new(&recipe.overlaid_with(Settings::parse("from_scratch", &ours)?))?;
    // A network computes with numbers: each character becomes its place in the vocabulary, its *id*.
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

    // The network is a language model like any other: it evaluates texts, and writes.
    if let Some(model) = trainer.best_model()? {
        let evaluation = model.evaluate(&model.generate("", StreamOptions::default())?)?;
        println!("\nperplexity of what it writes by itself: {:.2}", evaluation.perplexity());
    }
    Ok(())
}

/// As many sentences of the built-in corpus as make a short novel.
fn built_in_text() -> String {
    Tales::new().sentences(Tales::SEED, 0).take(3_000).map(|sentence| sentence + "\n").collect()
}

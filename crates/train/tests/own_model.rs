//! A user-defined model is trained, stopped and resumed like the built-in one.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_infer::evaluate;
use rondo_kernels::Device;
use rondo_nn::{
    Hidden, Initializer, Model, ModelFile, ParameterId, Parameters, State, Tape, Value, Workspace,
};
use rondo_runs::RunFolder;
use rondo_train::{Checkpoint, Plan, TrainError, Trainer};

use tiny::{StopAfter, corpus, plan, without_times};

mod tiny;

/// `h = tanh(x·Wxh + h·Whh)`, `logits = h·Why`.
#[derive(Clone, Debug)]
struct Elman {
    parameters: Parameters,
    wxh: ParameterId,
    whh: ParameterId,
    why: ParameterId,
}

impl Elman {
    fn new(vocab_size: usize, hidden_size: usize, device: &Device) -> Elman {
        let mut parameters = Parameters::new(device);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut add = |name: &str, rows: usize, columns: usize| {
            let id = parameters.add(name, &[rows, columns]);
            let mut values = vec![0.0; rows * columns];
            Initializer::Normal(0.3).fill(rows, columns, &mut values, &mut rng);
            parameters.values_mut(id).write_from(&values).unwrap();
            id
        };
        let wxh = add("wxh", vocab_size, hidden_size);
        let whh = add("whh", hidden_size, hidden_size);
        let why = add("why", hidden_size, vocab_size);
        Elman { parameters, wxh, whh, why }
    }

    fn hidden_size(&self) -> usize {
        self.parameters.shape(self.whh)[0]
    }
}

impl Model for Elman {
    fn boxed_clone(&self) -> Box<dyn Model> {
        Box::new(self.clone())
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

    fn description(&self) -> String {
        format!(r#"{{"kind":"elman","hidden_size":{}}}"#, self.hidden_size())
    }

    fn zero_state(&self, batch: usize) -> State {
        State::zeros(self.parameters.device(), batch, [("hidden", self.hidden_size())])
    }

    fn forward(&self, tape: &mut Tape<'_>, ids: &[u32], state: &mut State) -> Hidden {
        let [wxh, whh] = [self.wxh, self.whh].map(|id| tape.parameter(id));
        let mut h = tape.state(&state.parts()[0]);
        let mut outputs = Vec::new();
        for ids in ids.chunks(state.batch()) {
            let x = tape.one_hot(ids, self.vocab_size());
            let (from_input, from_memory) = (tape.product(x, wxh), tape.product(h, whh));
            let sum = tape.add(from_input, from_memory);
            h = tape.tanh(sum);
            outputs.push(h);
        }
        tape.keep(h, &mut state.parts_mut()[0]);
        Hidden::new(tape.concat_rows(&outputs))
    }

    fn logits(&self, tape: &mut Tape<'_>, hidden: Hidden) -> Value {
        let why = tape.parameter(self.why);
        tape.product(hidden.dropped, why)
    }
}

fn elman(plan: &Plan, hidden_size: usize) -> Elman {
    Elman::new(corpus(plan, 200).vocab().len(), hidden_size, &Device::cpu(2).unwrap())
}

fn folder(plan: &Plan, path: &Path) -> RunFolder {
    RunFolder::create(path, &plan.to_toml().unwrap()).unwrap()
}

#[test]
fn it_learns_and_its_best_model_is_the_one_in_the_file() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan("[training]\nepochs = 8\n[optimization]\nlearning_rate = 0.03");
    let texts = corpus(&plan, 200);
    let mut trainer = Trainer::with_model(plan.clone(), texts.clone(), elman(&plan, 12)).unwrap();
    assert!(trainer.best_model().unwrap().is_none());
    let run = folder(&plan, &parent.path().join("run"));
    let outcome = trainer.run(&run, &mut ()).unwrap();
    assert!(outcome.best_test.unwrap().exp() < 1.5, "{:?}", outcome.best_test);

    let best = trainer.best_model().unwrap().unwrap();
    let mut file = elman(&plan, 12);
    ModelFile::read_into(&mut file, &run.best_model()).unwrap();
    let valid = texts.valid.as_ref().unwrap();
    for model in [best.model(), &file] {
        let mut workspace = Workspace::new(model.parameters().device());
        let evaluation = evaluate(model, &mut workspace, valid, 4, 7).unwrap();
        assert_eq!(Some(evaluation.nll_mean()), outcome.best_valid);
    }
}

#[test]
fn it_resumes_to_the_numbers_of_an_uninterrupted_run() {
    let parent = tempfile::tempdir().unwrap();
    let plan = plan("[optimization]\nreload_best = true");
    let texts = corpus(&plan, 200);
    let whole = folder(&plan, &parent.path().join("whole"));
    let mut trainer = Trainer::with_model(plan.clone(), texts.clone(), elman(&plan, 12)).unwrap();
    trainer.run(&whole, &mut ()).unwrap();

    let stopped = folder(&plan, &parent.path().join("stopped"));
    let mut trainer = Trainer::with_model(plan.clone(), texts.clone(), elman(&plan, 12)).unwrap();
    assert!(trainer.run(&stopped, &mut StopAfter(45)).unwrap().interrupted);

    let latest = || Checkpoint::latest(&stopped).unwrap().unwrap().0;
    assert!(latest().config().is_none());
    let resuming = |model| Trainer::resuming_with_model(plan.clone(), texts.clone(), model, latest(), vec![]);
    let error = resuming(elman(&plan, 13)).unwrap_err();
    assert!(matches!(error, TrainError::NoCheckpoint { .. }), "{error}");
    let device = Device::cpu(2).unwrap();
    let error = Trainer::resuming(plan.clone(), texts.clone(), &device, latest(), vec![]).unwrap_err();
    assert!(matches!(error, TrainError::NoCheckpoint { .. }), "{error}");

    resuming(elman(&plan, 12)).unwrap().run(&stopped, &mut ()).unwrap();
    assert_eq!(without_times(&stopped.metrics()), without_times(&whole.metrics()));
    assert!(std::fs::read(stopped.last_model()).unwrap() == std::fs::read(whole.last_model()).unwrap());
}

//! Who is told of operations is told of all, in their order.

use std::sync::{Arc, Mutex};

use rondo_nn::{Cell, Dropout, DropoutSite, Input, Mode, Model, Pass, RnnLmConfig, Workspace};

use crate::check::{TRAIN, cells, config, device, model, run_in, tokens};

const BATCH: usize = 2;

/// The operations of a batch in this mode, those forward and those back.
fn operations(config: &RnnLmConfig, mode: Mode) -> [Vec<&'static str>; 2] {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let mut workspace = Workspace::new(&device());
    workspace.observe(Some(Box::new(move |name, pass| listener.lock().unwrap().push((name, pass)))));
    let model = model(config.clone());
    let (inputs, targets) = (tokens(3 * BATCH, 1), tokens(3 * BATCH, 2));
    let run = |workspace: &mut Workspace| {
        run_in(workspace, mode, &model, &inputs, &targets, &mut model.zero_state(BATCH));
        std::mem::take(&mut *told.lock().unwrap())
    };
    let first = run(&mut workspace);
    assert_eq!(first, run(&mut workspace), "each batch is told of alike");
    workspace.observe(None);
    assert_eq!(run(&mut workspace), [], "nobody is there to be told");
    assert!(first.is_sorted_by_key(|&(_, pass)| pass == Pass::Backward), "{first:?}");
    [Pass::Forward, Pass::Backward]
        .map(|wanted| first.iter().filter(|(_, pass)| *pass == wanted).map(|(name, _)| *name).collect())
}

fn reversed(names: &[&'static str]) -> Vec<&'static str> {
    names.iter().rev().copied().collect()
}

#[test]
fn every_operation_of_a_model_is_told_of_on_both_ways() {
    let site = DropoutSite { probability: 0.4, locked: false };
    let dropout = Dropout { input: site, between: site, output: site, ..Dropout::default() };
    for cell in cells() {
        let dropping = RnnLmConfig { dropout, ..config(cell) };
        let [forward, backward] = operations(&dropping, TRAIN);
        // The projection of a Mogrifier's input is part of the walk.
        let walk = if cell == Cell::Mogrifier { &["recurrence"][..] } else { &["linear", "recurrence"] };
        let layer = [walk, &["dropout"]].concat();
        assert_eq!(forward, [&["embedding", "dropout"][..], &layer, &layer, &["decoder"]].concat(), "{cell}");
        // The walk over time comes before the projection that fed it.
        assert_eq!(backward, reversed(&forward), "{cell}");

        // What evaluates drops nothing and does not go back.
        let evaluated = [&["embedding"], walk, walk, &["decoder"]].concat();
        let [forward, backward] = operations(&dropping, Mode::Evaluate);
        assert_eq!((forward.as_slice(), backward.as_slice()), (&evaluated[..], &[][..]), "{cell}");
    }
}

#[test]
fn a_one_hot_input_is_looked_up() {
    let one_hot = RnnLmConfig { input: Input::OneHot, hidden_sizes: vec![7], ..config(Cell::RnnTanh) };
    let [forward, backward] = operations(&one_hot, TRAIN);
    assert_eq!(forward, ["embedding", "recurrence", "decoder"]);
    assert_eq!(backward, reversed(&forward));
}

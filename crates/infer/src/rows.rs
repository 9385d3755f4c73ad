//! Reading a prefix.

use rondo_nn::{Mode, Model, State, Workspace};

/// Steps of a prefix that are read at a time.
const PREFIX_STEPS: usize = 256;

/// Moves a state of one row past `ids`, predicting nothing.
pub(crate) fn read_on(model: &dyn Model, workspace: &mut Workspace, ids: &[u32], state: &mut State) {
    for ids in ids.chunks(PREFIX_STEPS) {
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        model.forward(&mut tape, ids, state);
    }
}

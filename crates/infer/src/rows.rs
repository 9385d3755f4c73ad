//! Rows of a state: which streams go on, and in which order.

use rondo_nn::{Mode, RnnLm, State, Workspace};

/// Steps of a prefix that are read at a time.
const PREFIX_STEPS: usize = 256;

/// Moves a state of one row past `ids`, predicting nothing.
pub(crate) fn read_on(model: &RnnLm, workspace: &mut Workspace, ids: &[u32], state: &mut State) {
    for ids in ids.chunks(PREFIX_STEPS) {
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        model.forward(&mut tape, ids, state);
    }
}

/// Copies row `rows[b]` of `from` to row `b` of `to`, for each of them.
///
/// # Panics
/// If `to` has not as many rows as are named, or one is not in `from`.
pub(crate) fn copy_rows(from: &State, rows: &[usize], to: &mut State) {
    assert_eq!(to.batch(), rows.len(), "rows to copy to");
    let batch = from.batch();
    for (to, from) in to.layers.iter_mut().zip(&from.layers) {
        let width = from.hidden.len() / batch;
        for (b, &row) in rows.iter().enumerate() {
            let (here, there) = (b * width..(b + 1) * width, row * width..(row + 1) * width);
            to.hidden.range_mut(here.clone()).copy_from(from.hidden.range(there.clone()));
            if let (Some(to), Some(from)) = (&mut to.cell_state, &from.cell_state) {
                to.range_mut(here).copy_from(from.range(there));
            }
        }
    }
}

//! Where a model's state is reset, if it was trained on independent lines or paragraphs.
//!
//! ```text
//! read     ⏎  a  b  ⏎  c          the state is zero before a ⏎ that ends a line (or a blank line, for paragraphs)
//! predict  a  b  ⏎  c  ⏎
//! ```
//!
//! Not here: the columns of a text of units (`rondo_data::Batches`), how a row is reset (`rondo_nn::Tape`).

use rondo_data::Unit;
use rondo_nn::Tape;

/// Where a model's state is reset: before it reads the line end that precedes a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resets {
    /// What the model was trained on.
    pub unit: Unit,
    /// The id of the line end.
    pub line_end: u32,
}

impl Resets {
    /// The metadata key of model files.
    pub(crate) const KEY: &str = "reset_state";

    /// The rule with this name in a model file; `None` if there is no such rule.
    pub(crate) fn from_name(name: &str, line_end: u32) -> Option<Resets> {
        let unit = [Unit::Line, Unit::Paragraph].into_iter().find(|&unit| unit_name(unit) == name)?;
        Some(Resets { unit, line_end })
    }

    /// Its name in model files.
    pub fn name(self) -> &'static str {
        unit_name(self.unit)
    }

    /// Sets the resets of a tape for `ids: [T, B]`, which are read after the tokens `before: [B]`; a text begins after a
    /// line end.
    pub(crate) fn set(self, tape: &mut Tape<'_>, ids: &[u32], before: &[u32]) {
        let batch = before.len();
        let reset = |(at, &id): (usize, &u32)| {
            let before = if at < batch { before[at] } else { ids[at - batch] };
            u32::from(self.unit.ends(self.line_end, before, id))
        };
        let resets: Vec<u32> = ids.iter().enumerate().map(reset).collect();
        tape.set_resets(&resets);
    }
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Line => "line",
        Unit::Paragraph => "paragraph",
    }
}

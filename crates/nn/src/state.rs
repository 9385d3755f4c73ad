//! The recurrent state carried from batch to batch: tensors with one row per batch row.
//!
//! ```text
//! RnnLm, LSTM 2 × H   hidden/0 [B, H]   cell/0 [B, H]   hidden/1 [B, H]   cell/1 [B, H]
//! ```
//!
//! Promises: rows are independent, so they can be cleared, copied and selected individually.
//! Not here: what the tensors mean (the model that created the state).

use std::ops::Range;

use rondo_kernels::{Buffer, Device};

/// The recurrent state of a model, for each of `B` batch rows.
#[derive(Debug)]
pub struct State {
    parts: Vec<StatePart>,
    batch: usize,
}

/// A tensor of a [`State`]: `[B, width]`.
#[derive(Debug)]
pub struct StatePart {
    name: String,
    width: usize,
    values: Buffer,
}

impl State {
    /// A zero state for a batch size of `batch`, with parts of these names and widths.
    pub fn zeros(
        device: &Device,
        batch: usize,
        parts: impl IntoIterator<Item = (impl Into<String>, usize)>,
    ) -> State {
        let part = |(name, width): (_, usize)| {
            let (name, values) = (Into::into(name), Buffer::zeros(device, batch * width));
            StatePart { name, width, values }
        };
        State { parts: parts.into_iter().map(part).collect(), batch }
    }

    /// `B`, the batch size.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Its tensors, in the model's order.
    pub fn parts(&self) -> &[StatePart] {
        &self.parts
    }

    /// Its tensors, mutably.
    pub fn parts_mut(&mut self) -> &mut [StatePart] {
        &mut self.parts
    }

    /// Resets every row to zero.
    pub fn clear(&mut self) {
        self.clear_rows(0..self.batch);
    }

    /// Resets these rows to zero.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn clear_rows(&mut self, rows: Range<usize>) {
        for part in &mut self.parts {
            let width = part.width;
            part.values.range_mut(rows.start * width..rows.end * width).fill(0.0);
        }
    }

    /// Copies row `rows[b]` of `from` to row `b`, for every row.
    ///
    /// # Panics
    /// If `rows` does not have one entry per row, an entry is out of range for `from`, or the parts differ.
    pub fn copy_rows(&mut self, from: &State, rows: &[usize]) {
        assert_eq!(self.batch, rows.len(), "rows to copy to");
        for (b, &row) in rows.iter().enumerate() {
            self.copy_row(b, from, row);
        }
    }

    /// Copies row `from_row` of `from` to row `row`.
    ///
    /// # Panics
    /// If a row is out of range, or the parts differ.
    pub fn copy_row(&mut self, row: usize, from: &State, from_row: usize) {
        assert_eq!(self.parts.len(), from.parts.len(), "parts of the two states");
        for (to, from) in self.parts.iter_mut().zip(&from.parts) {
            let width = from.width;
            assert_eq!(to.width, width, "width of `{}`", to.name);
            let there = from.values.range(from_row * width..(from_row + 1) * width);
            to.values.range_mut(row * width..(row + 1) * width).copy_from(there);
        }
    }

    /// A state made of these rows of this one, in this order.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn select(&self, device: &Device, rows: &[usize]) -> State {
        let mut selected = self.like(device, rows.len());
        selected.copy_rows(self, rows);
        selected
    }

    /// A zero state with the same parts for a batch size of `batch`.
    pub fn like(&self, device: &Device, batch: usize) -> State {
        State::zeros(device, batch, self.parts.iter().map(|part| (part.name.as_str(), part.width)))
    }
}

impl StatePart {
    /// Its name, such as `hidden/0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The width of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[B, width]`.
    pub fn values(&self) -> &Buffer {
        &self.values
    }

    /// `[B, width]`, mutably.
    pub fn values_mut(&mut self) -> &mut Buffer {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cleared_copied_and_picked_one_by_one() {
        let device = Device::cpu(1).unwrap();
        let mut state = State::zeros(&device, 3, [("a", 2), ("b", 1)]);
        state.parts_mut()[0].values_mut().write_from(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        state.parts_mut()[1].values_mut().write_from(&[7.0, 8.0, 9.0]).unwrap();
        let values = |state: &State, part: usize| state.parts()[part].values().read().unwrap().into_owned();

        let picked = state.select(&device, &[2, 0, 2, 1]);
        assert_eq!(values(&picked, 0), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0, 3.0, 4.0]);
        assert_eq!(values(&picked, 1), [9.0, 7.0, 9.0, 8.0]);

        state.copy_row(0, &picked, 3);
        state.clear_rows(1..2);
        assert_eq!(
            (values(&state, 0), values(&state, 1)),
            (vec![3.0, 4.0, 0.0, 0.0, 5.0, 6.0], vec![8.0, 0.0, 9.0])
        );
        state.clear();
        assert_eq!(values(&state, 1), [0.0; 3]);
    }
}

//! CPU implementation: the vocabulary is split between the threads, and each processes its part in chunks.
//!
//! Logits are stored transposed, `[V, R]`, so that the weight is the tiles' broadcast operand and is read in
//! place, never packed for the forward multiplication; maxima and sums run down the columns, sixteen rows at
//! a time. If factors are rounded, the stored values are rounded too, two neighbors sharing one element
//! (`rounded`). Many rows are processed in blocks, each an independent decoder, so that a chunk of logits
//! stays in the second-level cache.
//!
//! This is a single file because the backward pass reads, in place, what the forward pass has laid out.

use std::ops::Range;

use super::few_rows;
use super::rounded::{self, RoundedGradient};
use super::vectors::{NEGLIGIBLE, add_and_maximize, exponentiate, factors_of, multiply, raise};
use super::{Backward, Dims, Forward, WeightGradient};
use crate::cpu::tile::{self, Matrix, PackedMatrix, Product};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, share};
use crate::memory::CACHE_LINE;
use crate::{Precision, Slice, SliceMut, Store};

/// The maximum number of rows decoded together.
const ROW_BLOCK: usize = 768;
/// The maximum number of vocabulary entries in a chunk: each chunk brings the whole gradient of the rows
/// through the caches once.
const CHUNK: usize = 192;
/// The logit of a token in the rows that it is left out of. It is finite, so that a chunk in which all of a row's tokens
/// are left out has a maximum to subtract; next to any logit of a row, its exponential is 0.
const LEFT_OUT: f32 = -1e30;

/// The memory layout of one block of rows. `kept` is `[V, R]` of exponentials relative to the maximum so far,
/// in half the space if they are rounded, then `[chunks, R]` of these maxima, then `[R]` of the log of each
/// row's sum.
#[derive(Clone, Copy)]
struct Layout {
    dims: Dims,
    /// Stride from one token's logits to the next's: `R` rounded up, so that the stored values are whole
    /// cache lines.
    stride: usize,
    /// Stride from one token's stored values to the next's.
    kept_stride: usize,
    /// Vocabulary entries in a chunk.
    chunk: usize,
    threads: usize,
}

impl Layout {
    fn new(cpu: &Cpu, dims: Dims) -> Layout {
        // A small vocabulary is divided more finely, so that every thread has work.
        let chunk = dims.vocab.div_ceil(cpu.threads()).next_multiple_of(12).min(CHUNK);
        let numbers_in_place = if cpu.precision() == Precision::Bf16 { 2 } else { 1 };
        let stride = dims.rows.next_multiple_of(numbers_in_place * tile::MAX_LANES);
        Layout { dims, stride, kept_stride: stride / numbers_in_place, chunk, threads: cpu.threads() }
    }

    fn chunks(self) -> usize {
        self.dims.vocab.div_ceil(self.chunk)
    }

    fn kept_len(self) -> usize {
        self.log_sums() + self.stride
    }

    /// Whether the stored values are rounded.
    fn rounds(self) -> bool {
        self.kept_stride < self.stride
    }

    /// Whether what is recorded is computed by [`few_rows`]. What is not recorded, such as scores, is the same for any number
    /// of rows, bit for bit.
    fn has_few_rows(self) -> bool {
        self.dims.rows <= few_rows::MAX_ROWS && !self.rounds()
    }

    /// The chunks of one thread.
    fn chunks_of(self, thread: usize) -> Range<usize> {
        share(self.chunks(), 1, self.threads, thread)
    }

    /// The vocabulary entries of a chunk.
    fn tokens(self, chunk: usize) -> Range<usize> {
        chunk * self.chunk..((chunk + 1) * self.chunk).min(self.dims.vocab)
    }

    /// Where the `[chunks, R]` maxima begin in `kept`.
    fn maxima(self) -> usize {
        self.dims.vocab * self.kept_stride
    }

    /// Where the `[R]` logs of sums begin in `kept`.
    fn log_sums(self) -> usize {
        self.maxima() + self.chunks() * self.stride
    }
}

/// The blocks of rows that are processed one after the other.
fn blocks(dims: Dims) -> impl Iterator<Item = (Range<usize>, Dims)> {
    let count = dims.rows.div_ceil(ROW_BLOCK).max(1);
    (0..count).map(move |block| {
        let rows = share(dims.rows, 1, count, block);
        let dims = Dims { rows: rows.len(), ..dims };
        (rows, dims)
    })
}

pub(super) fn kept_len(cpu: &Cpu, dims: Dims) -> usize {
    blocks(dims).map(|(_, dims)| Layout::new(cpu, dims).kept_len()).sum()
}

/// Scratch of one thread: running maximum and sum, a chunk of logits, and its maxima if they are not kept.
fn forward_thread_len(layout: Layout) -> usize {
    (3 + layout.chunk) * layout.stride
}

pub(super) fn forward_scratch_len(cpu: &Cpu, dims: Dims) -> usize {
    let each = |(_, dims): (_, Dims)| {
        let layout = Layout::new(cpu, dims);
        let hidden = tile::packed_len(dims.width, dims.rows);
        hidden + layout.stride + layout.threads * forward_thread_len(layout)
    };
    blocks(dims).map(each).max().unwrap_or(0)
}

pub(super) fn forward(cpu: &Cpu, dims: Dims, args: Forward<'_>) {
    let targets = args.targets.host();
    if let Some(target) = targets.iter().find(|&&target| target as usize >= dims.vocab) {
        panic!("target {target} is out of range for a vocabulary of {}", dims.vocab);
    }
    let hidden = args.hidden.host();
    let nll = args.nll.host();
    let scratch = args.scratch.host();
    let mut kept = args.kept.map(SliceMut::host);
    // Its rows are whole cache lines, provided the first is aligned to one.
    let aligned = kept.as_ref().is_none_or(|kept| kept.as_ptr().addr().is_multiple_of(CACHE_LINE));
    assert!(aligned, "kept must start at the beginning of a buffer");
    for (rows, dims) in blocks(dims) {
        let layout = Layout::new(cpu, dims);
        let own = match kept.take() {
            Some(all) => {
                let (own, rest) = all.split_at_mut(layout.kept_len());
                kept = Some(rest);
                Some(own)
            }
            None => None,
        };
        let hidden = &hidden[rows.start * dims.width..rows.end * dims.width];
        let (packed, scratch) = scratch.split_at_mut(tile::packed_len(dims.width, dims.rows));
        // SAFETY: hidden is [R, H]; read transposed, it is [H, R].
        unsafe {
            tile::pack_all(cpu, dims.width, dims.rows, Matrix::rows(hidden, dims.width).transposed(), packed)
        };
        let (target_logits, scratch) = scratch.split_at_mut(layout.stride);
        let scratch = &mut scratch[..layout.threads * forward_thread_len(layout)];
        let pass = ForwardPass {
            layout,
            weight: args.weight.host(),
            bias: args.bias.map(Slice::host),
            hidden,
            packed,
            targets: &targets[rows.clone()],
            only_as_target: args.only_as_target.map(Slice::host),
            kept: own.map(SharedMut::new),
            target_logits: SharedMut::new(target_logits),
            scratch: SharedMut::new(scratch),
        };
        cpu.parallel(|thread| cpu.vectorized(ForwardShare { pass: &pass, thread }));
        pass.finish(&mut nll[rows]);
    }
}

/// The forward pass over one block of rows, shared by the threads.
struct ForwardPass<'a> {
    layout: Layout,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    /// The block's `h`, and `hᵀ`, packed.
    hidden: &'a [f32],
    packed: &'a [f32],
    targets: &'a [u32],
    only_as_target: Option<&'a [u32]>,
    kept: Option<SharedMut<'a, f32>>,
    /// `[R]`, each written by the thread whose part of the vocabulary contains the target.
    target_logits: SharedMut<'a, f32>,
    /// For each thread: running maxima `[R]`, running sums `[R]`, a chunk's maxima `[R]`, a chunk of logits.
    scratch: SharedMut<'a, f32>,
}

/// One thread's part of the forward pass.
struct ForwardShare<'a> {
    pass: &'a ForwardPass<'a>,
    thread: usize,
}

impl Vectorized for ForwardShare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ForwardShare { pass, thread } = self;
        let layout = pass.layout;
        let Dims { rows, width, .. } = layout.dims;
        let own = thread * forward_thread_len(layout);
        // SAFETY: each thread has its own part of the scratch.
        let scratch = unsafe { pass.scratch.range(own..own + forward_thread_len(layout)) };
        let (running, scratch) = scratch.split_at_mut(2 * layout.stride);
        let (running_max, running_sum) = running.split_at_mut(layout.stride);
        let (own_max, own_logits) = scratch.split_at_mut(layout.stride);
        running_max.fill(f32::NEG_INFINITY);
        running_sum.fill(0.0);
        for chunk in layout.chunks_of(thread) {
            let tokens = layout.tokens(chunk);
            let logits = &mut own_logits[..tokens.len() * layout.stride];
            let (mut kept, max) = match &pass.kept {
                Some(kept) => {
                    let start = layout.maxima() + chunk * layout.stride;
                    let logits = tokens.start * layout.kept_stride..tokens.end * layout.kept_stride;
                    // SAFETY: each chunk's logits and maxima belong to the thread that has the chunk.
                    unsafe { (Some(kept.range(logits)), kept.range(start..start + layout.stride)) }
                }
                None => (None, &mut own_max[..]),
            };
            let weight = &pass.weight[tokens.start * width..tokens.end * width];
            if layout.has_few_rows() && pass.kept.is_some() {
                few_rows::forward(s, weight, pass.hidden, rows, logits, layout.stride);
            } else {
                let shape = (tokens.len(), width, rows);
                let panels = 0..tile::panel_count(s, rows);
                // SAFETY: the weight has the chunk's rows, packed is [H, R], and logits have room for [chunk, R].
                unsafe {
                    s.product(Product {
                        shape,
                        a: Matrix::rows(weight, width),
                        packed: PackedMatrix::Numbers(pass.packed.as_ptr()),
                        panels,
                        c: logits.as_mut_ptr(),
                        c_stride: layout.stride,
                        store: Store::Overwrite,
                    });
                }
            }
            max.fill(f32::NEG_INFINITY);
            for (token, logits) in tokens.clone().zip(logits.chunks_exact_mut(layout.stride)) {
                let bias = pass.bias.map_or(0.0, |bias| bias[token]);
                if pass.only_as_target.is_some_and(|only| only[token] != 0) {
                    let targets = pass.targets.iter().map(|&target| target as usize);
                    for (logit, target) in logits.iter_mut().zip(targets) {
                        if target != token {
                            *logit = LEFT_OUT;
                        }
                    }
                }
                add_and_maximize(s, bias, &mut logits[..rows], &mut max[..rows]);
            }
            for (row, &target) in pass.targets.iter().enumerate() {
                if tokens.contains(&(target as usize)) {
                    let logit = logits[(target as usize - tokens.start) * layout.stride + row];
                    // SAFETY: only the thread whose part contains the row's target writes it.
                    unsafe { pass.target_logits.range(row..row + 1)[0] = logit };
                }
            }
            for (token, logits) in tokens.clone().zip(logits.chunks_exact_mut(layout.stride)) {
                if pass.only_as_target.is_some_and(|only| only[token] != 0) {
                    // With the maxima known, a logit that is left out needs no weight that is subnormal after scaling:
                    // some processors take a hundred times as long for one.
                    for ((logit, max), &target) in logits.iter_mut().zip(&*max).zip(pass.targets) {
                        if target as usize != token {
                            *logit = max - NEGLIGIBLE;
                        }
                    }
                }
            }
            raise(s, &mut max[..rows], &mut running_max[..rows], &mut running_sum[..rows]);
            for (token, logits) in logits.chunks_exact(layout.stride).enumerate() {
                let kept = kept
                    .as_deref_mut()
                    .map(|kept| &mut kept[token * layout.kept_stride..][..layout.kept_stride]);
                exponentiate(s, &logits[..rows], &max[..rows], &mut running_sum[..rows], kept);
            }
        }
        s.fence();
    }
}

impl ForwardPass<'_> {
    /// Combines the threads' maxima and sums.
    fn finish(mut self, nll: &mut [f32]) {
        let layout = self.layout;
        let rows = layout.dims.rows;
        // SAFETY: the threads have finished; nothing else borrows these.
        let (scratch, target_logits) =
            unsafe { (self.scratch.range(0..self.scratch.len()), self.target_logits.range(0..rows)) };
        // SAFETY: as above.
        let mut log_sums = self.kept.take().map(|kept| unsafe {
            let start = layout.log_sums();
            std::slice::from_raw_parts_mut(kept.at(start), layout.stride)
        });
        for row in 0..rows {
            let of_threads = || {
                let threads = scratch.chunks_exact(forward_thread_len(layout));
                threads.map(|own| (f64::from(own[row]), f64::from(own[layout.stride + row])))
            };
            let max = of_threads().map(|(max, _)| max).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = of_threads().map(|(own_max, own_sum)| own_sum * (own_max - max).exp()).sum();
            let log_sum = max + sum.ln();
            nll[row] = (log_sum - f64::from(target_logits[row])) as f32;
            if let Some(log_sums) = &mut log_sums {
                log_sums[row] = log_sum as f32;
            }
        }
    }
}

/// Scratch of one thread: the chunk's factors `[R]`, its sums, its gradient if that is rounded, the packed
/// chunk of the weight, and the thread's part of `dh`.
fn backward_thread_len(layout: Layout) -> usize {
    let Dims { rows, width, .. } = layout.dims;
    layout.stride
        + sums_len(layout)
        + rounded_len(layout)
        + tile::packed_len(layout.chunk, width)
        + (rows * width).next_multiple_of(tile::MAX_LANES)
}

/// Space for one sum per token of a chunk.
fn sums_len(layout: Layout) -> usize {
    layout.chunk.next_multiple_of(tile::MAX_LANES)
}

/// Space for the rounded gradient of a chunk.
fn rounded_len(layout: Layout) -> usize {
    if layout.rounds() { rounded::places(layout.chunk, layout.stride) } else { 0 }
}

pub(super) fn backward_scratch_len(cpu: &Cpu, dims: Dims) -> usize {
    let each = |(_, dims): (_, Dims)| {
        let layout = Layout::new(cpu, dims);
        tile::packed_len(dims.rows, dims.width) + layout.threads * backward_thread_len(layout)
    };
    blocks(dims).map(each).max().unwrap_or(0)
}

pub(super) fn backward(cpu: &Cpu, dims: Dims, args: Backward<'_>) {
    let hidden = args.hidden.host();
    let targets = args.targets.host();
    let scratch = args.scratch.host();
    let d_hidden = args.d_hidden.host();
    let (mut d_weight, mut factor) = match args.d_weight {
        WeightGradient::Product(d_weight) => (Some(d_weight.host()), None),
        WeightGradient::Factor(factor) => (None, Some(factor.host())),
    };
    let mut d_bias = args.d_bias.map(SliceMut::host);
    let mut kept = args.kept.host();
    let mut how = args.store;
    let all_rows = dims.rows;
    for (rows, dims) in blocks(dims) {
        let layout = Layout::new(cpu, dims);
        let (own_kept, rest) = kept.split_at_mut(layout.kept_len());
        kept = rest;
        let range = rows.start * dims.width..rows.end * dims.width;
        let (packed, scratch) = scratch.split_at_mut(tile::packed_len(dims.rows, dims.width));
        let hidden = Matrix::rows(&hidden[range.clone()], dims.width);
        // SAFETY: hidden is [R, H].
        unsafe { tile::pack_all(cpu, dims.rows, dims.width, hidden, packed) };
        let pass = BackwardPass {
            layout,
            weight: args.weight.host(),
            packed,
            targets: &targets[rows.clone()],
            scale: args.scale,
            kept: SharedMut::new(own_kept),
            d_weight: d_weight.as_deref_mut().map(SharedMut::new),
            factor: factor.as_deref_mut().map(|factor| (SharedMut::new(factor), all_rows, rows.start)),
            d_bias: d_bias.as_deref_mut().map(SharedMut::new),
            store: how,
            scratch: SharedMut::new(&mut scratch[..layout.threads * backward_thread_len(layout)]),
        };
        cpu.parallel(|thread| cpu.vectorized(BackwardShare { pass: &pass, thread }));
        pass.finish(cpu, &mut d_hidden[range]);
        how = Store::Add;
    }
}

/// The backward pass over one block of rows, shared by the threads.
struct BackwardPass<'a> {
    layout: Layout,
    weight: &'a [f32],
    /// The block's `h`, packed.
    packed: &'a [f32],
    targets: &'a [u32],
    scale: f32,
    kept: SharedMut<'a, f32>,
    d_weight: Option<SharedMut<'a, f32>>,
    /// `[V, rows of all blocks]`, the number of these rows, and the first that is the block's.
    factor: Option<(SharedMut<'a, f32>, usize, usize)>,
    d_bias: Option<SharedMut<'a, f32>>,
    store: Store,
    scratch: SharedMut<'a, f32>,
}

/// One thread's part of the backward pass.
struct BackwardShare<'a> {
    pass: &'a BackwardPass<'a>,
    thread: usize,
}

impl Vectorized for BackwardShare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardShare { pass, thread } = self;
        let layout = pass.layout;
        let Dims { rows, width, .. } = layout.dims;
        let own = thread * backward_thread_len(layout);
        // SAFETY: each thread has its own part of the scratch.
        let scratch = unsafe { pass.scratch.range(own..own + backward_thread_len(layout)) };
        let (factors, scratch) = scratch.split_at_mut(layout.stride);
        let (sums, scratch) = scratch.split_at_mut(sums_len(layout));
        let (rounded, scratch) = scratch.split_at_mut(rounded_len(layout));
        let (packed_weight, d_hidden) = scratch.split_at_mut(tile::packed_len(layout.chunk, width));
        let packed_weight = SharedMut::new(packed_weight);
        let mut rounded =
            S::ROUNDED.then(|| RoundedGradient::new(layout.dims.rows, layout.chunk, layout.stride, rounded));
        factors.fill(0.0);
        let width_panels = 0..tile::panel_count(s, width);
        let mut store_d_hidden = Store::Overwrite;
        for chunk in layout.chunks_of(thread) {
            let tokens = layout.tokens(chunk);
            let sums = &mut sums[..tokens.len()];
            let start = layout.maxima() + chunk * layout.stride;
            // SAFETY: the chunk's logits, and maxima belong to this thread; the logs of sums are only read.
            let (kept, max, log_sums) = unsafe {
                (
                    pass.kept.range(tokens.start * layout.kept_stride..tokens.end * layout.kept_stride),
                    &*pass.kept.range(start..start + rows),
                    std::slice::from_raw_parts(pass.kept.at(layout.log_sums()), rows),
                )
            };
            factors_of(s, max, log_sums, pass.scale, &mut factors[..rows]);
            let targets =
                pass.targets.iter().enumerate().filter(|(_, target)| tokens.contains(&(**target as usize)));
            let targets = targets.map(|(row, &target)| (row, target as usize - tokens.start));
            let (by_token, by_row) = match &mut rounded {
                Some(gradient) => {
                    gradient.fill(s, kept, factors, sums);
                    for (row, token) in targets {
                        gradient.take(kept, factors, token, row, pass.scale);
                        sums[token] -= pass.scale;
                    }
                    pass.keep_factor(tokens.clone(), |token, to| gradient.copy_token(token, to));
                    (gradient.by_token(), gradient.by_row())
                }
                None => {
                    let d_logits = &mut *kept;
                    for (sum, d_logits) in sums.iter_mut().zip(d_logits.chunks_exact_mut(layout.stride)) {
                        *sum = multiply(s, &mut d_logits[..rows], &factors[..rows]);
                    }
                    for (row, token) in targets {
                        d_logits[token * layout.stride + row] -= pass.scale;
                        sums[token] -= pass.scale;
                    }
                    pass.keep_factor(tokens.clone(), |token, to| {
                        to.copy_from_slice(&d_logits[token * layout.stride..][..rows]);
                    });
                    let by_token = Matrix::rows(d_logits, layout.stride);
                    (by_token, by_token.transposed())
                }
            };
            if let Some(d_bias) = &pass.d_bias {
                // SAFETY: the chunk's tokens belong to this thread.
                let d_bias = unsafe { d_bias.range(tokens.clone()) };
                for (d_bias, sum) in d_bias.iter_mut().zip(sums) {
                    let before = if pass.store == Store::Add { *d_bias } else { 0.0 };
                    *d_bias = before + *sum;
                }
            }
            let d_weight = pass.d_weight.as_ref().map(|d_weight| {
                // SAFETY: the chunk's tokens belong to this thread.
                unsafe { d_weight.range(tokens.start * width..tokens.end * width) }
            });
            let weight = &pass.weight[tokens.start * width..tokens.end * width];
            // SAFETY: the gradient is [chunk, R], packed is [R, H], weight and d_weight are [chunk, H], d_hidden is [R, H].
            unsafe {
                if let Some(d_weight) = d_weight {
                    s.product(Product {
                        shape: (tokens.len(), rows, width),
                        a: by_token,
                        packed: PackedMatrix::Numbers(pass.packed.as_ptr()),
                        panels: width_panels.clone(),
                        c: d_weight.as_mut_ptr(),
                        c_stride: width,
                        store: pass.store,
                    });
                }
                if layout.has_few_rows() {
                    let (sizes, add) = ((rows, layout.stride), store_d_hidden == Store::Add);
                    few_rows::backward(s, weight, kept, sizes, &mut d_hidden[..rows * width], add);
                } else {
                    let weight = Matrix::rows(weight, width);
                    tile::pack(s, tokens.len(), width, weight, &packed_weight, width_panels.clone());
                    s.product(Product {
                        shape: (rows, tokens.len(), width),
                        a: by_row,
                        packed: PackedMatrix::Numbers(packed_weight.at(0)),
                        panels: width_panels.clone(),
                        c: d_hidden.as_mut_ptr(),
                        c_stride: width,
                        store: store_d_hidden,
                    });
                }
            }
            store_d_hidden = Store::Add;
        }
        if store_d_hidden == Store::Overwrite {
            d_hidden.fill(0.0); // This thread had no chunk.
        }
    }
}

impl BackwardPass<'_> {
    /// Stores the gradient of the logits of `tokens`, if it is wanted: `copy` is given the position of each token in the
    /// chunk, and where the gradient of its logits in the rows of the block goes.
    #[inline(always)]
    fn keep_factor(&self, tokens: Range<usize>, copy: impl Fn(usize, &mut [f32])) {
        if let Some((factor, all_rows, first)) = &self.factor {
            for (at, token) in tokens.enumerate() {
                let to = token * all_rows + first;
                // SAFETY: the chunk's tokens belong to the thread that has the chunk.
                copy(at, unsafe { factor.range(to..to + self.layout.dims.rows) });
            }
        }
    }

    /// Adds up the threads' parts of `dh`.
    fn finish(self, cpu: &Cpu, d_hidden: &mut [f32]) {
        let layout = self.layout;
        let part_len = (layout.dims.rows * layout.dims.width).next_multiple_of(tile::MAX_LANES);
        let part_start = backward_thread_len(layout) - part_len;
        let len = d_hidden.len();
        let d_hidden = SharedMut::new(d_hidden);
        cpu.parallel(|thread| {
            let own = share(len, tile::MAX_LANES, layout.threads, thread);
            // SAFETY: the threads have finished the pass; each adds up its own part.
            let (to, scratch) = unsafe {
                (
                    d_hidden.range(own.clone()),
                    std::slice::from_raw_parts(self.scratch.at(0), self.scratch.len()),
                )
            };
            for part in 0..layout.threads {
                let from = part * backward_thread_len(layout) + part_start;
                let from = &scratch[from + own.start..from + own.end];
                if part == 0 {
                    to.copy_from_slice(from);
                } else {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                }
            }
        });
    }
}

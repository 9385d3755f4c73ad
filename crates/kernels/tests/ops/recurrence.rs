//! The recurrent layers' walk over time.

use rondo_kernels::recurrence::reference::{self, Inputs};
use rondo_kernels::recurrence::{self, Backward, Cell, Dims, Forward, Pack, cases::cases};
use rondo_kernels::{Buffer, Device, Store};

use crate::check::{
    Tolerance, assert_close, assert_gradient, buffer, devices, dot, filled, product_devices, random, read,
};

/// Random inputs, small enough that tanh and sigmoid stay in their bends.
fn inputs(dims: Dims, two_biases: bool, resets: bool) -> Inputs<f64> {
    let scaled = |len: usize, seed, scale: f64| random(len, seed).into_iter().map(|v| v * scale).collect();
    let state = dims.batch * dims.hidden;
    Inputs {
        r: scaled(dims.gates_width() * dims.hidden, 1, (dims.hidden as f64).powf(-0.5)),
        bias_ih: scaled(dims.gates_width(), 2, 0.5),
        bias_hh: scaled(if two_biases { dims.gates_width() } else { 0 }, 3, 0.5),
        xw: scaled(dims.gates_len(), 4, 1.0),
        h0: scaled(state, 5, 0.5),
        c0: scaled(if dims.cell.has_cell_state() { state } else { 0 }, 6, 0.5),
        resets: if resets { random_resets(dims) } else { vec![] },
    }
}

/// A mask with steps in which none, some, and all rows are reset.
fn random_resets(dims: Dims) -> Vec<u32> {
    let random = random(dims.steps * dims.batch, 8);
    let step = |(t, rows): (usize, &[f64])| -> Vec<u32> {
        rows.iter().map(|&value| u32::from(t % 3 == 2 || t % 3 == 1 && value > 0.0)).collect()
    };
    random.chunks(dims.batch).enumerate().flat_map(step).collect()
}

#[test]
fn backward_is_the_gradient_of_forward() {
    for (cell, resets) in Cell::ALL.into_iter().flat_map(|cell| [(cell, false), (cell, true)]) {
        let dims = Dims { cell, steps: 5, batch: 2, hidden: 4 };
        let inputs = inputs(dims, true, resets);
        let d_hidden = random(dims.steps * dims.batch * dims.hidden, 7);
        let outputs = reference::forward(dims, &inputs);
        let gradients = reference::backward(dims, &inputs, &outputs, &d_hidden);
        let loss = |inputs: Inputs<f64>| {
            dot(&reference::forward(dims, &inputs).hidden[dims.batch * dims.hidden..], &d_hidden)
        };
        let with = |change: &dyn Fn(&mut Inputs<f64>)| {
            let mut inputs = inputs.clone();
            change(&mut inputs);
            loss(inputs)
        };
        let name = |what: &str| format!("{what} of {cell}, resets: {resets}");
        assert_gradient(&name("r"), &inputs.r, &gradients.r, |v| with(&|i| i.r = v.to_vec()));
        assert_gradient(&name("bias_ih"), &inputs.bias_ih, &gradients.bias_ih, |v| {
            with(&|i| i.bias_ih = v.to_vec())
        });
        assert_gradient(&name("bias_hh"), &inputs.bias_hh, &gradients.bias_hh, |v| {
            with(&|i| i.bias_hh = v.to_vec())
        });
        assert_gradient(&name("xw"), &inputs.xw, &gradients.xw, |v| with(&|i| i.xw = v.to_vec()));
    }
}

/// Buffers after a forward walk on a device.
struct Walk {
    gates: Buffer,
    extra: Buffer,
    hidden: Buffer,
    cell_state: Buffer,
}

fn pack(device: &Device, dims: Dims, kind: Pack, r: &[f64]) -> Buffer {
    let mut packed = Buffer::zeros(device, recurrence::pack_len(device, dims.cell, dims.hidden, kind));
    let r = buffer(device, r);
    recurrence::pack(device, dims.cell, dims.hidden, kind, r.slice(), packed.slice_mut());
    packed
}

fn walk(device: &Device, dims: Dims, inputs: &Inputs<f64>) -> Walk {
    let states = |initial: &[f64], len| {
        let mut all = initial.to_vec();
        all.resize(len, f64::NAN);
        buffer(device, &all)
    };
    let mut walk = Walk {
        gates: buffer(device, &inputs.xw),
        extra: buffer(device, &vec![f64::NAN; dims.extra_len()]),
        hidden: states(&inputs.h0, dims.states_len()),
        cell_state: states(&inputs.c0, dims.cell_state_len()),
    };
    let packed = pack(device, dims, Pack::Forward, &inputs.r);
    let resets = (!inputs.resets.is_empty()).then(|| Buffer::from_slice(device, &inputs.resets).unwrap());
    let scratch_len = recurrence::forward_scratch_len(device, dims, resets.is_some());
    let mut scratch = buffer(device, &vec![f64::NAN; scratch_len]);
    let [bias_ih, bias_hh] = [&inputs.bias_ih, &inputs.bias_hh].map(|bias| buffer(device, bias));
    let args = Forward {
        packed: packed.slice(),
        bias_ih: bias_ih.slice(),
        bias_hh: (!bias_hh.is_empty()).then(|| bias_hh.slice()),
        gates: walk.gates.slice_mut(),
        extra: walk.extra.slice_mut(),
        hidden: walk.hidden.slice_mut(),
        cell_state: walk.cell_state.slice_mut(),
        resets: resets.as_ref().map(Buffer::slice),
        scratch: scratch.slice_mut(),
    };
    recurrence::forward(device, dims, args);
    walk
}

/// How far a device may be from the reference.
fn tolerance(dims: Dims, device: &Device) -> Tolerance {
    match (dims.cell, Tolerance::Chain.on(device)) {
        (Cell::RnnRelu, Tolerance::Rounded) => Tolerance::Rectified,
        (_, tolerance) => tolerance,
    }
}

/// Fails unless the devices agree with the reference, forward and backward.
fn assert_agree(devices: &[Device], dims: Dims, two_biases: bool, resets: bool) {
    let inputs = inputs(dims, two_biases, resets);
    let d_hidden = random(dims.steps * dims.batch * dims.hidden, 7);
    let outputs = reference::forward(dims, &inputs);
    let gradients = reference::backward(dims, &inputs, &outputs, &d_hidden);
    for device in devices {
        let name = |what: &str| format!("{what} of {dims:?} on {device}, resets: {resets}");
        let mut walk = walk(device, dims, &inputs);
        assert_close(&name("gates"), &read(&walk.gates), &outputs.gates, tolerance(dims, device));
        assert_close(&name("hidden"), &read(&walk.hidden), &outputs.hidden, tolerance(dims, device));
        assert_close(
            &name("cell_state"),
            &read(&walk.cell_state),
            &outputs.cell_state,
            tolerance(dims, device),
        );

        let packed = pack(device, dims, Pack::Backward, &inputs.r);
        let d_hidden = buffer(device, &d_hidden);
        let ones = |len| filled(device, &vec![1.0; len]);
        let mut d_r = ones(dims.gates_width() * dims.hidden);
        let mut d_bias_ih = ones(dims.gates_width());
        let mut d_bias_hh = ones(dims.gates_width());
        let mask = resets.then(|| Buffer::from_slice(device, &inputs.resets).unwrap());
        let scratch_len = recurrence::backward_scratch_len(device, dims, resets);
        let mut scratch = buffer(device, &vec![f64::NAN; scratch_len]);
        let args = Backward {
            packed: packed.slice(),
            gates: walk.gates.slice_mut(),
            extra: walk.extra.slice_mut(),
            hidden: walk.hidden.slice(),
            cell_state: walk.cell_state.slice(),
            resets: mask.as_ref().map(Buffer::slice),
            d_hidden: d_hidden.slice(),
            d_r: d_r.slice_mut(),
            d_bias_ih: d_bias_ih.slice_mut(),
            d_bias_hh: two_biases.then(|| d_bias_hh.slice_mut()),
            store: if two_biases { Store::Add } else { Store::Overwrite },
            scratch: scratch.slice_mut(),
        };
        recurrence::backward(device, dims, args);
        let before = if two_biases { 1.0 } else { 0.0 };
        let want = |values: &[f64]| values.iter().map(|v| v + before).collect::<Vec<_>>();
        assert_close(&name("d_xw"), &read(&walk.gates), &gradients.xw, tolerance(dims, device));
        assert_close(&name("d_r"), &read(&d_r), &want(&gradients.r), tolerance(dims, device));
        assert_close(
            &name("d_bias_ih"),
            &read(&d_bias_ih),
            &want(&gradients.bias_ih),
            tolerance(dims, device),
        );
        if two_biases {
            let want = want(&gradients.bias_hh);
            assert_close(&name("d_bias_hh"), &read(&d_bias_hh), &want, tolerance(dims, device));
        }
    }
}

#[test]
fn devices_agree_with_the_reference() {
    let cases = cases().flat_map(|dims| [(dims, true, false), (dims, false, true), (dims, true, true)]);
    let devices = product_devices();
    for (dims, two_biases, resets) in cases {
        assert_agree(&devices, dims, two_biases, resets);
    }
}

/// So large that a GPU no longer walks in one workgroup, and sums are split; so long that it splits the walk.
#[test]
fn devices_agree_with_the_reference_in_large_layers_and_long_walks() {
    for cell in Cell::ALL {
        let hidden = if cell.gates() == 1 { 530 } else { 300 };
        for (steps, batch, hidden) in [(3, 5, hidden), (9_000, 1, 9)] {
            let dims = Dims { cell, steps, batch, hidden };
            for (two_biases, resets) in [(true, false), (false, true)] {
                assert_agree(&devices(), dims, two_biases, resets);
            }
        }
    }
    let dims = Dims { cell: Cell::Lstm, steps: 2, batch: 3, hidden: 2_060 };
    assert_agree(&devices(), dims, true, true);
}

#[test]
fn large_inputs_saturate_and_nan_is_kept() {
    for cell in Cell::ALL {
        let dims = Dims { cell, steps: 3, batch: 2, hidden: 20 };
        let mut inputs = inputs(dims, true, false);
        for scale in [1e2, 1e6] {
            inputs.xw.iter_mut().for_each(|x| *x *= scale);
            let outputs = reference::forward(dims, &inputs);
            for device in devices() {
                let walk = walk(&device, dims, &inputs);
                let name = format!("hidden of {cell} on {device}");
                assert_close(&name, &read(&walk.hidden), &outputs.hidden, Tolerance::Chain);
            }
        }
        inputs.xw[0] = f64::NAN;
        for device in devices() {
            let hidden = read(&walk(&device, dims, &inputs).hidden);
            let row = |step: usize, b: usize| &hidden[(2 * step + b) * 20..][..20];
            assert!(row(1, 0)[0].is_nan(), "{cell} on {device}");
            assert!(row(2, 0).iter().all(|h| h.is_nan()), "{cell} on {device}");
            assert!((1..=3).all(|step| row(step, 1).iter().all(|h| h.is_finite())), "{cell} on {device}");
        }
    }
}

#[test]
fn two_halves_with_the_state_carried_equal_the_whole() {
    for cell in Cell::ALL {
        let whole = Dims { cell, steps: 6, batch: 3, hidden: 20 };
        let half = Dims { steps: 3, ..whole };
        let all = inputs(whole, true, false);
        let state = whole.batch * whole.hidden;
        for device in product_devices() {
            let once = walk(&device, whole, &all);
            let mut part = Inputs { xw: all.xw[..half.gates_len()].to_vec(), ..all.clone() };
            let first = walk(&device, half, &part);
            part.xw = all.xw[half.gates_len()..].to_vec();
            let last = |states: &Buffer| {
                let from = states.len().saturating_sub(state);
                read(states)[from..].iter().map(|&v| f64::from(v)).collect()
            };
            (part.h0, part.c0) = (last(&first.hidden), last(&first.cell_state));
            let second = walk(&device, half, &part);
            let twice = [&read(&first.hidden)[state..], &read(&second.hidden)[state..]].concat();
            assert_eq!(&read(&once.hidden)[state..], twice, "{cell} on {device}");
        }
    }
}

#[test]
fn batch_rows_are_independent() {
    for cell in Cell::ALL {
        let both = Dims { cell, steps: 4, batch: 2, hidden: 10 };
        let one = Dims { batch: 1, ..both };
        let inputs = inputs(both, true, false);
        for device in product_devices() {
            let together = walk(&device, both, &inputs);
            for b in 0..2 {
                let row = |values: &[f64], width: usize| -> Vec<f64> {
                    values.chunks_exact(width).skip(b).step_by(2).flatten().copied().collect()
                };
                let alone = Inputs {
                    xw: row(&inputs.xw, both.gates_width()),
                    h0: row(&inputs.h0, both.hidden),
                    c0: row(&inputs.c0, both.hidden),
                    ..inputs.clone()
                };
                let alone = walk(&device, one, &alone);
                let hidden = read(&together.hidden);
                let rows = hidden.chunks_exact(both.hidden).skip(b).step_by(2);
                assert_eq!(rows.collect::<Vec<_>>().concat(), read(&alone.hidden), "{cell} on {device}");
            }
        }
    }
}

#[test]
fn after_a_reset_a_row_continues_as_from_a_zero_state() {
    for cell in Cell::ALL {
        let whole = Dims { cell, steps: 5, batch: 3, hidden: 20 };
        let part = Dims { steps: 3, ..whole };
        let mut all = inputs(whole, true, false);
        all.resets = vec![0; 15];
        // Row 1 is reset at step 2.
        all.resets[2 * 3 + 1] = 1;
        let mut rest = Inputs { xw: all.xw[2 * 3 * whole.gates_width()..].to_vec(), ..all.clone() };
        (rest.h0, rest.c0) = (vec![0.0; rest.h0.len()], vec![0.0; rest.c0.len()]);
        rest.resets = vec![];
        let without = Inputs { resets: vec![], ..all.clone() };
        for device in product_devices() {
            let hidden = |dims, inputs| read(&walk(&device, dims, inputs).hidden);
            let row = |hidden: &[f32], step: usize, row: usize| {
                hidden[(step * 3 + row) * whole.hidden..][..whole.hidden].to_vec()
            };
            let (found, fresh, plain) = (hidden(whole, &all), hidden(part, &rest), hidden(whole, &without));
            for step in 1..=5 {
                assert_eq!(row(&found, step, 0), row(&plain, step, 0), "{cell} on {device}");
                let expected = if step <= 2 { row(&plain, step, 1) } else { row(&fresh, step - 2, 1) };
                assert_eq!(row(&found, step, 1), expected, "{cell} on {device}, step {step}");
            }
        }
    }
}

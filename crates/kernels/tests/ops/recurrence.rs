//! The recurrent layers' walk over time.

use rondo_kernels::recurrence::mogrifier::{self, Rounds};
use rondo_kernels::recurrence::reference::{self, Inputs};
use rondo_kernels::recurrence::{
    self, Backward, BackwardProjection, Cell, Dims, Forward, Pack, cases::cases,
};
use rondo_kernels::{Buffer, Device, SliceMut, Store, linear};

use crate::check::{
    Tolerance, as_bytes, assert_close, assert_gradient, buffer, devices, dot, filled, product_devices,
    random, read,
};

/// Whether the device can run such a layer: a GPU has neither projections nor Mogrifiers, which models refuse.
fn is_available(dims: Dims, device: &Device) -> bool {
    let is_plain = dims.projection.is_none() && dims.rounds.is_none();
    is_plain || device.require_cpu("such a layer").is_ok()
}

/// Random inputs, small enough that tanh and sigmoid stay in their bends.
fn inputs(dims: Dims, two_biases: bool, resets: bool) -> Inputs<f64> {
    let scaled = |len: usize, seed, scale: f64| random(len, seed).into_iter().map(|v| v * scale).collect();
    let matrix =
        |[rows, columns]: [usize; 2], seed| scaled(rows * columns, seed, (columns as f64).powf(-0.5));
    let state = dims.batch * dims.hidden;
    let input = dims.rounds.map(|rounds| rounds.input);
    let weights = dims.rounds.map_or([None; 4], |rounds| rounds.weight_shapes(dims.hidden));
    Inputs {
        r: matrix([dims.gates_width(), dims.output()], 1),
        bias_ih: scaled(dims.gates_width(), 2, 0.5),
        bias_hh: scaled(if two_biases { dims.gates_width() } else { 0 }, 3, 0.5),
        xw: if input.is_none() { scaled(dims.gates_len(), 4, 1.0) } else { vec![] },
        h0: scaled(dims.batch * dims.output(), 5, 0.5),
        c0: scaled(if dims.cell.has_cell_state() { state } else { 0 }, 6, 0.5),
        resets: if resets { random_resets(dims) } else { vec![] },
        projection: dims.projection.map_or(vec![], |output| matrix([output, dims.hidden], 9)),
        cell_clip: None,
        x: input.map_or(vec![], |input| scaled(dims.steps * dims.batch * input, 10, 1.0)),
        weight_ih: input.map_or(vec![], |input| matrix([dims.gates_width(), input], 11)),
        weights: weights.map(|shape| shape.map_or(vec![], |shape| matrix(shape, 12))),
    }
}

/// With a limit that clips some of the cell states.
fn clipped(inputs: Inputs<f64>) -> Inputs<f64> {
    Inputs { cell_clip: Some(0.4), ..inputs }
}

/// Cells with all that a layer can have in addition.
fn extended(steps: usize, batch: usize, hidden: usize) -> Vec<Dims> {
    let with = |cell| Dims::new(cell, steps, batch, hidden);
    let rounds = |count, rank| Some(Rounds { count, input: hidden + 1, rank });
    vec![
        Dims { projection: Some(hidden - 1), ..with(Cell::Lstm) },
        Dims { projection: Some(hidden + 2), ..with(Cell::Cifg) },
        Dims { rounds: rounds(1, None), ..with(Cell::Mogrifier) },
        Dims { rounds: rounds(4, None), ..with(Cell::Mogrifier) },
        Dims { rounds: rounds(3, Some(2)), ..with(Cell::Mogrifier) },
    ]
}

/// Every cell as it is, and with what it can have in addition.
fn layers(steps: usize, batch: usize, hidden: usize) -> impl Iterator<Item = Dims> {
    let plain = Cell::ALL.into_iter().map(move |cell| Dims::new(cell, steps, batch, hidden));
    plain.chain(extended(steps, batch, hidden))
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
    for dims in layers(5, 2, 4) {
        for (resets, clips) in [(false, false), (true, true)] {
            check_gradient(dims, resets, clips);
        }
    }
}

fn check_gradient(dims: Dims, resets: bool, clips: bool) {
    let mut inputs = inputs(dims, true, resets);
    if clips {
        inputs = clipped(inputs);
    }
    let d_hidden = random(dims.steps * dims.batch * dims.output(), 7);
    let outputs = reference::forward(dims, &inputs);
    if clips && dims.cell.has_cell_state() {
        let is_clipped = |c: &f64| c.abs() == 0.4;
        let later = &outputs.cell_state[dims.batch * dims.hidden..];
        assert!(later.iter().any(is_clipped) && !later.iter().all(is_clipped), "{dims:?}");
    }
    let gradients = reference::backward(dims, &inputs, &outputs, &d_hidden);
    let loss = |inputs: Inputs<f64>| {
        dot(&reference::forward(dims, &inputs).hidden[dims.batch * dims.output()..], &d_hidden)
    };
    let with = |change: &dyn Fn(&mut Inputs<f64>)| {
        let mut inputs = inputs.clone();
        change(&mut inputs);
        loss(inputs)
    };
    let name = |what: &str| format!("{what} of {dims:?}, resets: {resets}, clips: {clips}");
    assert_gradient(&name("r"), &inputs.r, &gradients.r, |v| with(&|i| i.r = v.to_vec()));
    assert_gradient(&name("bias_ih"), &inputs.bias_ih, &gradients.bias_ih, |v| {
        with(&|i| i.bias_ih = v.to_vec())
    });
    assert_gradient(&name("bias_hh"), &inputs.bias_hh, &gradients.bias_hh, |v| {
        with(&|i| i.bias_hh = v.to_vec())
    });
    if dims.rounds.is_none() {
        assert_gradient(&name("xw"), &inputs.xw, &gradients.xw, |v| with(&|i| i.xw = v.to_vec()));
    }
    assert_gradient(&name("projection"), &inputs.projection, &gradients.projection, |v| {
        with(&|i| i.projection = v.to_vec())
    });
    assert_gradient(&name("x"), &inputs.x, &gradients.x, |v| with(&|i| i.x = v.to_vec()));
    assert_gradient(&name("weight_ih"), &inputs.weight_ih, &gradients.weight_ih, |v| {
        with(&|i| i.weight_ih = v.to_vec())
    });
    for (index, (weight, gradient)) in inputs.weights.iter().zip(&gradients.weights).enumerate() {
        assert_gradient(&name("weights"), weight, gradient, |v| with(&|i| i.weights[index] = v.to_vec()));
    }
}

/// Buffers after a forward walk on a device.
struct Walk {
    gates: Buffer,
    extra: Buffer,
    hidden: Buffer,
    cell_state: Buffer,
    kept: Buffer,
}

fn pack(device: &Device, dims: Dims, kind: Pack, r: &[f64]) -> Buffer {
    let mut packed = Buffer::zeros(device, recurrence::pack_len(device, dims.weight(), kind));
    let r = buffer(device, r);
    recurrence::pack(device, dims.weight(), kind, r.slice(), packed.slice_mut());
    packed
}

/// A weight `[outputs, inputs]`, packed.
fn pack_dense(device: &Device, inputs: usize, outputs: usize, kind: linear::Pack, w: &[f64]) -> Buffer {
    let mut packed = Buffer::zeros(device, linear::pack_len(device, inputs, outputs, kind));
    linear::pack(device, inputs, outputs, kind, buffer(device, w).slice(), packed.slice_mut());
    packed
}

/// The weights of the projection, the input weight and those of the rounds of a Mogrifier, packed.
struct Packed {
    projection: Option<Buffer>,
    mogrifier: Option<[Buffer; 2]>,
}

impl Packed {
    fn new(device: &Device, dims: Dims, inputs: &Inputs<f64>, kind: linear::Pack) -> Packed {
        let rounds = |rounds: Rounds| {
            let w = &inputs.weight_ih;
            let packed_ih = pack_dense(device, rounds.input, dims.gates_width(), kind, w);
            let len = mogrifier::pack_len(device, rounds, dims.hidden, kind);
            let mut packed = Buffer::zeros(device, len);
            let weights = inputs.weights.each_ref().map(|weight| buffer(device, weight));
            let slices = weights.each_ref().map(|weight| (!weight.is_empty()).then(|| weight.slice()));
            mogrifier::pack(device, rounds, dims.hidden, kind, slices, packed.slice_mut());
            [packed_ih, packed]
        };
        Packed {
            projection: dims
                .projection
                .map(|output| pack_dense(device, dims.hidden, output, kind, &inputs.projection)),
            mogrifier: dims.rounds.map(rounds),
        }
    }
}

fn walk(device: &Device, dims: Dims, inputs: &Inputs<f64>) -> Walk {
    let packed = pack(device, dims, Pack::Forward, &inputs.r);
    let more = Packed::new(device, dims, inputs, linear::Pack::Forward);
    let projection = more.projection.as_ref().map(|packed| packed.slice().into());
    walk_with(device, dims, inputs, (packed.slice().into(), projection, more.mogrifier.as_ref()))
}

/// The walk with the recurrent weight and the projection as bytes.
fn walk_with_bytes(device: &Device, dims: Dims, inputs: &Inputs<f64>) -> Walk {
    let mut packed = Buffer::zeros(device, recurrence::int8_pack_len(dims.weight()));
    recurrence::pack_int8(device, dims.weight(), buffer(device, &inputs.r).slice(), packed.slice_mut());
    let more = Packed::new(device, dims, inputs, linear::Pack::Forward);
    let projection = dims.projection.map(|output| {
        let mut packed = Buffer::zeros(device, linear::int8_pack_len(dims.hidden, output));
        let weight = buffer(device, &inputs.projection);
        linear::pack_int8(device, dims.hidden, output, weight.slice(), packed.slice_mut());
        packed
    });
    let projection = projection.as_ref().map(|packed| rondo_kernels::Packed::Int8(packed.slice()));
    let packed = rondo_kernels::Packed::Int8(packed.slice());
    walk_with(device, dims, inputs, (packed, projection, more.mogrifier.as_ref()))
}

/// The walk with these packed weights: recurrent, of the projection, and of a Mogrifier.
fn walk_with(
    device: &Device,
    dims: Dims,
    inputs: &Inputs<f64>,
    (packed, projection, of_mogrifier): (
        rondo_kernels::Packed<'_>,
        Option<rondo_kernels::Packed<'_>>,
        Option<&[Buffer; 2]>,
    ),
) -> Walk {
    let states = |initial: &[f64], len| {
        let mut all = initial.to_vec();
        all.resize(len, f64::NAN);
        buffer(device, &all)
    };
    let mut xw = inputs.xw.clone();
    xw.resize(dims.gates_len(), f64::NAN);
    let mut walk = Walk {
        kept: buffer(device, &vec![f64::NAN; dims.kept_len()]),
        gates: buffer(device, &xw),
        extra: buffer(device, &vec![f64::NAN; dims.extra_len()]),
        hidden: states(&inputs.h0, dims.states_len()),
        cell_state: states(&inputs.c0, dims.cell_state_len()),
    };
    let resets = (!inputs.resets.is_empty()).then(|| Buffer::from_slice(device, &inputs.resets).unwrap());
    let scratch_len = recurrence::forward_scratch_len(device, dims, resets.is_some());
    let mut scratch = buffer(device, &vec![f64::NAN; scratch_len]);
    let [bias_ih, bias_hh, x] =
        [&inputs.bias_ih, &inputs.bias_hh, &inputs.x].map(|bias| buffer(device, bias));
    let args = Forward {
        projection,
        mogrifier: of_mogrifier.map(|[packed_ih, packed]| mogrifier::Forward {
            x: x.slice(),
            packed_ih: packed_ih.slice(),
            packed: packed.slice(),
            kept: walk.kept.slice_mut(),
        }),
        cell_clip: inputs.cell_clip.map(|limit| limit as f32),
        packed,
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

#[test]
fn weights_of_bytes_are_the_weights_that_they_stand_for() {
    for dims in cases() {
        let mut inputs = inputs(dims, true, dims.batch > 2);
        inputs.r = as_bytes(&inputs.r, dims.output());
        if dims.projection.is_some() {
            inputs.projection = as_bytes(&inputs.projection, dims.hidden);
        }
        let outputs = reference::forward(dims, &inputs);
        for device in product_devices().iter().filter(|device| device.require_cpu("bytes").is_ok()) {
            let name = |what: &str| format!("{what} of {dims:?} on {device}");
            let walk = walk_with_bytes(device, dims, &inputs);
            let tolerance = match tolerance(dims, device) {
                Tolerance::Chain => Tolerance::Split,
                tolerance => tolerance,
            };
            assert_close(&name("gates"), &read(&walk.gates), &outputs.gates, tolerance);
            assert_close(&name("hidden"), &read(&walk.hidden), &outputs.hidden, tolerance);
            assert_close(&name("cell_state"), &read(&walk.cell_state), &outputs.cell_state, tolerance);
        }
    }
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
    assert_agree_on(devices, dims, &inputs, two_biases);
}

fn assert_agree_on(devices: &[Device], dims: Dims, inputs: &Inputs<f64>, two_biases: bool) {
    let resets = !inputs.resets.is_empty();
    let d_hidden = random(dims.steps * dims.batch * dims.output(), 7);
    let outputs = reference::forward(dims, inputs);
    let gradients = reference::backward(dims, inputs, &outputs, &d_hidden);
    for device in devices.iter().filter(|device| is_available(dims, device)) {
        let name = |what: &str| format!("{what} of {dims:?} on {device}, resets: {resets}");
        let mut walk = walk(device, dims, inputs);
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
        let mut d_r = ones(dims.weight().count());
        let mut d_projection = ones(inputs.projection.len());
        let [mut d_x, mut d_weight_ih] = [&inputs.x, &inputs.weight_ih].map(|of| ones(of.len()));
        let mut d_weights = inputs.weights.each_ref().map(|weight| ones(weight.len()));
        let x = buffer(device, &inputs.x);
        let more = Packed::new(device, dims, inputs, linear::Pack::Backward);
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
            projection: more.projection.as_ref().map(|packed| BackwardProjection {
                packed: packed.slice(),
                d_weight: d_projection.slice_mut(),
            }),
            mogrifier: more.mogrifier.as_ref().map(|[packed_ih, packed]| mogrifier::Backward {
                x: x.slice(),
                packed_ih: packed_ih.slice(),
                packed: packed.slice(),
                kept: walk.kept.slice_mut(),
                d_x: d_x.slice_mut(),
                d_weight_ih: d_weight_ih.slice_mut(),
                d_weights: d_weights.each_mut().map(|weight| {
                    Some(weight.slice_mut()).filter(|weight: &SliceMut<'_>| !weight.is_empty())
                }),
            }),
            cell_clip: inputs.cell_clip.map(|limit| limit as f32),
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
        let close = |what: &str, found: &Buffer, expected: &[f64]| {
            assert_close(&name(what), &read(found), expected, tolerance(dims, device));
        };
        close("d_projection", &d_projection, &want(&gradients.projection));
        close("d_x", &d_x, &gradients.x);
        close("d_weight_ih", &d_weight_ih, &want(&gradients.weight_ih));
        for (found, expected) in d_weights.iter().zip(&gradients.weights) {
            close("d_weights", found, &want(expected));
        }
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

/// The largest difference that rounding makes is where a state is just clipped, so only precise devices are compared.
#[test]
fn devices_agree_with_the_reference_where_cell_states_are_clipped() {
    for dims in layers(4, 3, 33).filter(|dims| dims.cell.has_cell_state()) {
        for resets in [false, true] {
            assert_agree_on(&devices(), dims, &clipped(inputs(dims, true, resets)), true);
        }
    }
}

/// So large that a GPU no longer walks in one workgroup, and sums are split; so long that it splits the walk.
#[test]
fn devices_agree_with_the_reference_in_large_layers_and_long_walks() {
    for cell in Cell::ALL {
        let hidden = if cell.gates() == 1 { 530 } else { 300 };
        for (steps, batch, hidden) in [(3, 5, hidden), (9_000, 1, 9)] {
            let dims = Dims::new(cell, steps, batch, hidden);
            for (two_biases, resets) in [(true, false), (false, true)] {
                assert_agree(&devices(), dims, two_biases, resets);
            }
        }
    }
    let dims = Dims::new(Cell::Lstm, 2, 3, 2_060);
    assert_agree(&devices(), dims, true, true);
}

#[test]
fn large_inputs_saturate_and_nan_is_kept() {
    for dims in layers(3, 2, 20) {
        let (cell, output) = (dims.cell, dims.output());
        let mut inputs = inputs(dims, true, false);
        for scale in [1e2, 1e6] {
            inputs.xw.iter_mut().chain(&mut inputs.x).for_each(|x| *x *= scale);
            let outputs = reference::forward(dims, &inputs);
            for device in devices().into_iter().filter(|device| is_available(dims, device)) {
                let walk = walk(&device, dims, &inputs);
                let name = format!("hidden of {cell} on {device}");
                assert_close(&name, &read(&walk.hidden), &outputs.hidden, Tolerance::Chain);
            }
        }
        *inputs.xw.iter_mut().chain(&mut inputs.x).next().unwrap() = f64::NAN;
        for device in devices().into_iter().filter(|device| is_available(dims, device)) {
            let hidden = read(&walk(&device, dims, &inputs).hidden);
            let row = |step: usize, b: usize| &hidden[(2 * step + b) * output..][..output];
            assert!(row(1, 0)[0].is_nan(), "{cell} on {device}");
            assert!(row(2, 0).iter().all(|h| h.is_nan()), "{cell} on {device}");
            assert!((1..=3).all(|step| row(step, 1).iter().all(|h| h.is_finite())), "{cell} on {device}");
        }
    }
}

#[test]
fn two_halves_with_the_state_carried_equal_the_whole() {
    for whole in layers(6, 3, 20) {
        let (cell, state) = (whole.cell, whole.batch * whole.output());
        let half = Dims { steps: 3, ..whole };
        let all = inputs(whole, true, false);
        let steps = |steps: std::ops::Range<usize>| {
            let of = |values: &[f64]| {
                let step = values.len() / 6;
                values[steps.start * step..steps.end * step].to_vec()
            };
            Inputs { xw: of(&all.xw), x: of(&all.x), ..all.clone() }
        };
        for device in product_devices().into_iter().filter(|device| is_available(whole, device)) {
            let once = walk(&device, whole, &all);
            let first = walk(&device, half, &steps(0..3));
            let mut part = steps(3..6);
            let last = |states: &Buffer| {
                let from = states.len() / 4 * 3;
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
    for both in layers(4, 2, 10) {
        let cell = both.cell;
        let one = Dims { batch: 1, ..both };
        let inputs = inputs(both, true, false);
        for device in product_devices().into_iter().filter(|device| is_available(both, device)) {
            let together = walk(&device, both, &inputs);
            for b in 0..2 {
                let row = |values: &[f64], width: usize| -> Vec<f64> {
                    values.chunks_exact(width).skip(b).step_by(2).flatten().copied().collect()
                };
                let alone = Inputs {
                    xw: row(&inputs.xw, both.gates_width()),
                    x: row(&inputs.x, both.rounds.map_or(1, |rounds| rounds.input)),
                    h0: row(&inputs.h0, both.output()),
                    c0: row(&inputs.c0, both.hidden),
                    ..inputs.clone()
                };
                let alone = walk(&device, one, &alone);
                let hidden = read(&together.hidden);
                let rows = hidden.chunks_exact(both.output()).skip(b).step_by(2);
                assert_eq!(rows.collect::<Vec<_>>().concat(), read(&alone.hidden), "{cell} on {device}");
            }
        }
    }
}

#[test]
fn after_a_reset_a_row_continues_as_from_a_zero_state() {
    for whole in layers(5, 3, 20) {
        let (cell, output) = (whole.cell, whole.output());
        let part = Dims { steps: 3, ..whole };
        let mut all = inputs(whole, true, false);
        all.resets = vec![0; 15];
        // Row 1 is reset at step 2.
        all.resets[2 * 3 + 1] = 1;
        let last = |values: &[f64]| values[values.len() / 5 * 2..].to_vec();
        let mut rest = Inputs { xw: last(&all.xw), x: last(&all.x), ..all.clone() };
        (rest.h0, rest.c0) = (vec![0.0; rest.h0.len()], vec![0.0; rest.c0.len()]);
        rest.resets = vec![];
        let without = Inputs { resets: vec![], ..all.clone() };
        for device in product_devices().into_iter().filter(|device| is_available(whole, device)) {
            let hidden = |dims, inputs| read(&walk(&device, dims, inputs).hidden);
            let row = |hidden: &[f32], step: usize, row: usize| {
                hidden[(step * 3 + row) * output..][..output].to_vec()
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

//! Drawing a token of each row of logits.

use rondo_kernels::sample::{self, BLOCK, Dims, Forward, Pick, cases::CASES, reference};
use rondo_kernels::{Buffer, Device};

use crate::check::{Tolerance, assert_close, buffer, devices, filled, ones, random, read, set};

/// Logits, and caps that forbid every third token but the first.
fn inputs(dims: Dims) -> (Vec<f64>, Vec<f64>) {
    let logits = random(dims.rows * dims.vocab, 1).iter().map(|x| 12.0 * x).collect();
    let cap = |v: usize| if v % 3 == 2 { f64::NEG_INFINITY } else { f64::INFINITY };
    (logits, (0..dims.vocab).map(cap).collect())
}

/// Points that are spread over all of a row, the lowest and (almost) the highest among them.
fn points(rows: usize, offset: usize) -> Vec<f64> {
    let point = |row: usize| ((row + offset) * 617 % 1000) as f64 / 999.0;
    (0..rows).map(|row| point(row).min(1.0 - f64::EPSILON)).collect()
}

/// Maxima and sums.
fn forward(
    device: &Device,
    dims: Dims,
    temperature: f32,
    logits: &Buffer,
    caps: Option<&Buffer>,
) -> [Buffer; 2] {
    let len = dims.rows * dims.blocks();
    let [mut maxima, mut sums] = [(); 2].map(|()| ones(device, len));
    let args = Forward {
        logits: logits.slice(),
        caps: caps.map(Buffer::slice),
        maxima: maxima.slice_mut(),
        sums: Some((temperature, sums.slice_mut())),
    };
    sample::forward(device, dims, args);
    [maxima, sums]
}

fn pick(
    device: &Device,
    dims: Dims,
    temperature: f32,
    logits: &Buffer,
    caps: Option<&Buffer>,
    points: &[f64],
) -> Vec<u32> {
    let [maxima, mut sums] = forward(device, dims, temperature, logits, caps);
    let mut ids = filled(device, &vec![u32::MAX; dims.rows]);
    let args = Pick {
        temperature,
        logits: logits.slice(),
        caps: caps.map(Buffer::slice),
        maxima: maxima.slice(),
        sums: sums.slice_mut(),
        points,
        ids: ids.slice_mut(),
    };
    sample::pick(device, dims, args);
    read(&ids).to_vec()
}

#[test]
fn the_reference_is_what_a_small_case_says() {
    let dims = Dims { rows: 1, vocab: 4 };
    let ln = f64::ln;
    // Twice the logarithms at temperature 2: weights of 1, 2, 3 and 4, the third of them forbidden.
    let logits = [2.0 * ln(1.0), 2.0 * ln(2.0), 2.0 * ln(3.0), 2.0 * ln(4.0)];
    let caps = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY];
    let (maxima, sums) = reference::forward(dims, 2.0, &logits, Some(&caps));
    assert_eq!(maxima, [logits[3]]);
    assert!((sums[0] - 7.0 / 4.0).abs() < 1e-15);
    let at = |point: f64| reference::pick(dims, 2.0, &logits, Some(&caps), &[point])[0];
    assert_eq!([0.0, 0.14, 0.15, 0.42, 0.43, 0.999].map(at), [0, 0, 1, 1, 3, 3]);
}

#[test]
fn devices_agree_with_the_reference() {
    for (&dims, temperature) in CASES.iter().flat_map(|dims| [(dims, 0.5f32), (dims, 2.0)]) {
        let (logits, caps) = inputs(dims);
        for with_caps in [false, true] {
            let caps = with_caps.then_some(caps.as_slice());
            let (maxima, sums) = reference::forward(dims, f64::from(temperature), &logits, caps);
            for device in devices() {
                let name = |what: &str| format!("{what} of {dims:?} at {temperature} on {device}");
                let logits = buffer(&device, &logits);
                let caps = caps.map(|caps| buffer(&device, caps));
                let found = forward(&device, dims, temperature, &logits, caps.as_ref());
                // The largest is one of the numbers, rounded to `f32`.
                assert_close(&name("maxima"), &read(&found[0]), &maxima, Tolerance::Elementwise);
                assert_close(&name("sums"), &read(&found[1]), &sums, Tolerance::Sum);
                let mut alone = ones(&device, maxima.len());
                let args = Forward {
                    logits: logits.slice(),
                    caps: caps.as_ref().map(Buffer::slice),
                    maxima: alone.slice_mut(),
                    sums: None,
                };
                sample::forward(&device, dims, args);
                assert_eq!(&read(&alone), &read(&found[0]), "{}", name("maxima alone"));
            }
        }
    }
}

#[test]
fn the_token_is_the_references() {
    // Rounding moves the border between two tokens by less.
    const NEAR: f64 = 1e-5;
    for (&dims, temperature) in CASES.iter().flat_map(|dims| [(dims, 0.5f32), (dims, 2.0)]) {
        let (logits, caps) = inputs(dims);
        for (with_caps, offset) in [false, true].into_iter().flat_map(|caps| (0..10).map(move |o| (caps, o)))
        {
            let caps = with_caps.then_some(caps.as_slice());
            let points = points(dims.rows, offset);
            let want = |shift: f64| {
                let shifted: Vec<f64> = points.iter().map(|p| (p + shift).clamp(0.0, 1.0 - NEAR)).collect();
                reference::pick(dims, f64::from(temperature), &logits, caps, &shifted)
            };
            let (low, high) = (want(-NEAR), want(NEAR));
            let last = caps.map_or(dims.vocab - 1, |caps| caps.iter().rposition(|cap| *cap > 0.0).unwrap());
            for device in devices() {
                let logits = buffer(&device, &logits);
                let caps = caps.map(|caps| buffer(&device, caps));
                let found = pick(&device, dims, temperature, &logits, caps.as_ref(), &points);
                for (row, &id) in found.iter().enumerate() {
                    // Beyond the last point of the reference there are some more rare tokens.
                    let high = if points[row] > 1.0 - 2.0 * NEAR { last as u32 } else { high[row] };
                    let expected = low[row]..=high;
                    assert!(expected.contains(&id), "{id}, not in {expected:?}: {dims:?} on {device}");
                    assert!(!with_caps || id % 3 != 2, "{id} is forbidden");
                }
            }
        }
    }
}

#[test]
fn neither_threads_nor_other_rows_change_a_token() {
    let dims = Dims { rows: 7, vocab: 3_000 };
    let (logits, _) = inputs(dims);
    let points = points(dims.rows, 3);
    let mut together: Vec<(String, Vec<u32>)> = Vec::new();
    for device in devices() {
        let found = pick(&device, dims, 1.5, &buffer(&device, &logits), None, &points);
        for (row, &id) in found.iter().enumerate() {
            let one = Dims { rows: 1, ..dims };
            let logits = buffer(&device, &logits[row * dims.vocab..(row + 1) * dims.vocab]);
            assert_eq!(pick(&device, one, 1.5, &logits, None, &points[row..=row]), [id], "on {device}");
        }
        if let Device::Cpu(cpu) = &device {
            together.push((cpu.instructions().to_string(), found));
        }
    }
    for pair in together.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        assert_eq!(pair[0], pair[1]);
    }
}

#[test]
fn what_is_no_distribution_is_told_by_the_maxima() {
    let dims = Dims { rows: 1, vocab: 2 * BLOCK + 3 };
    let infinity = f32::INFINITY;
    for device in devices() {
        for at in [0, 100, BLOCK, dims.vocab - 1] {
            for damage in [f32::NAN, -f32::NAN, infinity] {
                let mut logits = ones(&device, dims.vocab);
                set(&mut logits, at, damage);
                let [maxima, sums] = forward(&device, dims, 1.0, &logits, None);
                let mut want = [1.0; 3];
                want[at / BLOCK] = infinity;
                assert_eq!(read(&maxima), want, "{damage} at {at} on {device}");
                assert_eq!(read(&sums)[at / BLOCK], 0.0);
                assert_eq!(pick(&device, dims, 1.0, &logits, None, &[0.5]), [0]);
                // What is forbidden may be whatever it is.
                let mut caps = filled(&device, &vec![infinity; dims.vocab]);
                set(&mut caps, at, -infinity);
                let [maxima, _] = forward(&device, dims, 1.0, &logits, Some(&caps));
                assert_eq!(read(&maxima), [1.0; 3], "{damage} at {at} on {device}");
            }
        }
        let nothing = filled(&device, &vec![-infinity; dims.vocab]);
        let [maxima, sums] = forward(&device, dims, 1.0, &nothing, None);
        assert_eq!((read(&maxima), read(&sums)), (vec![-infinity; 3], vec![0.0; 3]), "on {device}");
    }
}

#[test]
fn the_coldest_and_the_most_extreme_leave_only_the_largest() {
    let dims = Dims { rows: 1, vocab: 1_000 };
    for device in devices() {
        // One of the largest stands in the first block, one in the last.
        let mut logits = filled(&device, &[1.0; 1_000]);
        set(&mut logits, 17, 2.0);
        set(&mut logits, 900, 2.0);
        for temperature in [1e-45, 1e-30, 1e-3] {
            let at = |point: f64| pick(&device, dims, temperature, &logits, None, &[point])[0];
            assert_eq!([0.0, 0.49, 0.51, 0.99].map(at), [17, 17, 900, 900], "{temperature} on {device}");
        }
        let mut logits = filled(&device, &[-3e38; 1_000]);
        set(&mut logits, 500, 3e38);
        assert_eq!(pick(&device, dims, 0.5, &logits, None, &[0.999]), [500], "on {device}");
    }
}

#[test]
fn rare_tokens_are_drawn_as_often_as_they_should() {
    // One token has almost all; the others, in their own blocks, less than `f32` tells from 1.
    let dims = Dims { rows: 60, vocab: 4 * BLOCK };
    let mut row = vec![f32::NEG_INFINITY; dims.vocab];
    let rare = 1e-9_f64;
    for (block, place) in [3, 17, 100, 200].into_iter().enumerate() {
        row[block * BLOCK + place] = if block == 0 { 0.0 } else { rare.ln() as f32 };
    }
    let logits = row.repeat(dims.rows);
    let all = 1.0 + 3.0 * rare;
    // Points of the middle of each token.
    let middles = [0.5, 1.0 + 0.5 * rare, 1.0 + 1.5 * rare, 1.0 + 2.5 * rare].map(|point| point / all);
    let points: Vec<f64> = (0..dims.rows).map(|row| middles[row % 4]).collect();
    let tokens = [3, BLOCK + 17, 2 * BLOCK + 100, 3 * BLOCK + 200];
    let want: Vec<u32> = (0..dims.rows).map(|row| tokens[row % 4] as u32).collect();
    for device in devices() {
        let found = pick(&device, dims, 1.0, &filled(&device, &logits), None, &points);
        assert_eq!(found, want, "on {device}");
    }
}

//! The logit of one token per row.

use rondo_kernels::target_logits::{self, Forward, cases::CASES, reference};

use crate::check::{Tolerance, assert_close, buffer, devices, filled, ones, random, read};

#[test]
fn devices_agree_with_the_reference() {
    for &dims in CASES {
        let (hidden, weight) = (random(dims.rows * dims.hidden, 1), random(dims.vocab * dims.hidden, 2));
        let bias = random(dims.vocab, 3);
        let targets: Vec<u32> =
            (0..dims.rows).map(|row| ((row * 7919 + dims.vocab - 1) % dims.vocab) as u32).collect();
        for bias in [None, Some(bias.as_slice())] {
            let want = reference::forward(dims, &hidden, &weight, bias, &targets);
            for device in devices() {
                let [hidden, weight] = [&hidden, &weight].map(|values| buffer(&device, values));
                let bias = bias.map(|bias| buffer(&device, bias));
                let targets = filled(&device, &targets);
                let mut logits = ones(&device, dims.rows);
                let args = Forward {
                    hidden: hidden.slice(),
                    weight: weight.slice(),
                    bias: bias.as_ref().map(rondo_kernels::Buffer::slice),
                    targets: targets.slice(),
                    logits: logits.slice_mut(),
                };
                target_logits::forward(&device, dims, args);
                assert_close(&format!("{dims:?} on {device}"), &read(&logits), &want, Tolerance::Sum);
            }
        }
    }
}

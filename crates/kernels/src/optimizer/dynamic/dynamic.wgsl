// Steps of dynamic evaluation.

@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> rms: array<f32>;
@group(0) @binding(3) var<storage, read> trained: array<f32>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;

@compute @workgroup_size(256)
fn dynamic(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i >= word(4u)) {
        return;
    }
    var step = 0.0;
    if (word(5u) != 0u) {
        step = gradient[word(0u) + i] * number(7u);
    }
    var share = number(8u);
    if (word(6u) != 0u) {
        let size = rms[word(1u) + i];
        let divisor = size + number(9u);
        if (divisor > 0.0) {
            step = step / divisor;
        } else {
            step = 0.0;
        }
        share = size * share;
        if (share > 1.0) {
            share = 1.0;
        }
    }
    // 1 − (1 − share)ⁿ, by repeated squaring; one decay is exact.
    var missed = word(10u) - 1u;
    if (missed > 0u) {
        var rest = 1.0 - share;
        var square = rest;
        while (missed > 0u) {
            if ((missed & 1u) != 0u) {
                rest = rest * square;
            }
            square = square * square;
            missed = missed >> 1u;
        }
        share = 1.0 - rest;
    }
    let at = word(3u) + i;
    let w = weight[at];
    weight[at] = fma(share, trained[word(2u) + i] - w, w + step);
}

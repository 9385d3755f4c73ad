// Optimizer steps. The gradient is that of all elements, or of some rows.

@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;
// SGD: the velocity.
@group(0) @binding(5) var<storage, read_write> first: array<f32>;
@group(0) @binding(6) var<storage, read_write> second: array<f32>;

// Whether the step changes anything: not if the norm is infinite or NaN. The numbers begin at word `at`.
fn is_step(at: u32) -> bool {
    return word(at + 1u) == 0u || (bitcast<u32>(scales[word(1u) + 1u]) & 0x7fffffffu) < 0x7f800000u;
}

fn scaled(at: u32, i: u32) -> f32 {
    var scale = number(at + 2u);
    if (word(at + 1u) != 0u) {
        scale = scales[word(1u)];
    }
    return gradient[word(0u) + i] * scale;
}

// The element of the weight that element `i` of the gradient belongs to.
fn place(at: u32, i: u32) -> u32 {
    let width = word(at + 3u);
    if (width == 0u) {
        return i;
    }
    return rows[word(2u) + i / width] * width + i % width;
}

@compute @workgroup_size(256)
fn sgd(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i >= word(5u) || !is_step(5u)) {
        return;
    }
    let to = place(5u, i);
    let w = weight[word(3u) + to];
    var step = fma(w, number(10u), scaled(5u, i));
    if (word(9u) != 0u) {
        step = fma(first[word(4u) + to], number(11u), step);
        first[word(4u) + to] = step;
    }
    weight[word(3u) + to] = fma(step, number(12u), w);
}

@compute @workgroup_size(256)
fn adam(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i >= word(6u) || !is_step(6u)) {
        return;
    }
    let to = place(6u, i);
    let w = weight[word(3u) + to];
    let g = fma(w, number(10u), scaled(6u, i));
    let m = fma(first[word(4u) + to], number(12u), g * number(13u));
    let v = fma(second[word(5u) + to], number(14u), g * g * number(15u));
    first[word(4u) + to] = m;
    second[word(5u) + to] = v;
    let denominator = fma(sqrt(v), number(16u), number(17u));
    weight[word(3u) + to] = fma(m / denominator, number(18u), w * number(11u));
}

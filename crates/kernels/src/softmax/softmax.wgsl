@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> d_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// Three passes over a row: its largest element, the sum of the weights, and the weights over their sum.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * count.x + group.x;
    let columns = word(4u);
    let factor = number(6u);
    if (row >= word(3u)) {
        return;
    }
    let start = word(0u) + row * columns;
    var largest = x[start];
    for (var i = local; i < columns; i += 256u) {
        largest = max(largest, x[start + i]);
    }
    let shift = group_max(local, largest);
    var sum = 0.0;
    for (var i = local; i < columns; i += 256u) {
        sum += shifted_exp(x[start + i], shift, factor);
    }
    let scale = 1.0 / group_sum(local, sum);
    for (var i = local; i < columns; i += 256u) {
        out[word(2u) + row * columns + i] = scale * shifted_exp(x[start + i], shift, factor);
    }
}

// Here x is the output of forward.
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * count.x + group.x;
    let columns = word(4u);
    if (row >= word(3u)) {
        return;
    }
    let start = row * columns;
    var sum = 0.0;
    for (var i = start + local; i < start + columns; i += 256u) {
        sum = fma(x[word(0u) + i], d_y[word(1u) + i], sum);
    }
    let dot = group_sum(local, sum);
    for (var i = start + local; i < start + columns; i += 256u) {
        let d_x = x[word(0u) + i] * (d_y[word(1u) + i] - dot) * number(6u);
        let at = word(2u) + i;
        if (word(5u) != 0u) {
            out[at] += d_x;
        } else {
            out[at] = d_x;
        }
    }
}

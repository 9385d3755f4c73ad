@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// A step's elements follow those of the step before; `row` of them is the distance of neighbors in time. For the size,
// it is 0.

// The partial sum of each workgroup; each invocation adds up 64 squares at a time.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let squares = word(2u);
    let row = word(3u);
    let stride = 256u * count.x;
    var sum = 0.0;
    for (var start = group.x * 256u + local; start < squares; start += 64u * stride) {
        var part = 0.0;
        let end = min(start + 64u * stride, squares);
        for (var i = start; i < end; i += stride) {
            var value = h[word(0u) + row + i];
            if (row != 0u) {
                value -= h[word(0u) + i];
            }
            part = fma(value, value, part);
        }
        sum += part;
    }
    let total = group_sum(local, sum);
    if (local == 0u) {
        out[word(1u) + group.x] = total;
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    let len = word(2u);
    let row = word(3u);
    if (i >= len) {
        return;
    }
    let here = word(0u) + i;
    var value = h[here];
    if (row != 0u) {
        value = 0.0;
        if (i >= row) {
            value = h[here] - h[here - row];
        }
        if (i + row < len) {
            value -= h[here + row] - h[here];
        }
    }
    value *= number(5u);
    let at = word(1u) + i;
    if (word(4u) != 0u) {
        out[at] += value;
    } else {
        out[at] = value;
    }
}

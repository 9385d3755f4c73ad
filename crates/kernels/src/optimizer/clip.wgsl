// Clipping, and the sums of squares that it needs.
//
//   squares   a workgroup for each part: three sums
//   total     one workgroup: the sum of the parts
//   norm      one workgroup: from sums of squares to the scale of a step
//   zero_unless_finite, clip_values      an invocation for each element
//
// Large numbers are divided by 2^80 before they are squared and small ones multiplied by it, and both are summed apart:
// no square overflows or vanishes.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;

const UP: f32 = 0x1p80f;
const DOWN: f32 = 0x1p-80f;

var<workgroup> tree: array<vec3<f32>, 256>;

fn tree_sum(local: u32, own: vec3<f32>) -> vec3<f32> {
    tree[local] = own;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            tree[local] += tree[local + half];
        }
        workgroupBarrier();
    }
    return tree[0];
}

@compute @workgroup_size(256)
fn squares(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let first = group.x * word(3u);
    let end = min(first + word(3u), word(2u));
    var own = vec3<f32>();
    for (var i = first + local; i < end; i += 256u) {
        let value = x[word(0u) + i];
        let size = abs(value);
        if (size >= 0x1p32f) {
            own.y += (value * DOWN) * (value * DOWN);
        } else if (size < 0x1p-48f) {
            own.z += (value * UP) * (value * UP);
        } else {
            own.x += value * value;
        }
    }
    let sum = tree_sum(local, own);
    if (local < 3u) {
        sums[word(1u) + 3u * group.x + local] = sum[local];
    }
}

@compute @workgroup_size(256)
fn total(@builtin(local_invocation_index) local: u32) {
    var own = vec3<f32>();
    for (var i = local; i < word(2u); i += 256u) {
        let at = word(0u) + 3u * i;
        own += vec3<f32>(x[at], x[at + 1u], x[at + 2u]);
    }
    let sum = tree_sum(local, own);
    if (local == 0u) {
        // Times 2^±160, which is no number: by the exponent.
        var all = sum.x;
        if (sum.z >= 0x1p40f) {
            all += bitcast<f32>(bitcast<u32>(sum.z) - (160u << 23u));
        }
        if (sum.y >= 0x1p-32f) {
            all += sum.y * UP * UP;
        } else if (sum.y > 0.0) {
            all += bitcast<f32>(bitcast<u32>(sum.y) + (160u << 23u));
        }
        sums[word(1u)] = all;
    }
}

@compute @workgroup_size(256)
fn norm(@builtin(local_invocation_index) local: u32) {
    var own = vec3<f32>();
    for (var i = local; i < word(2u); i += 256u) {
        own.x += x[word(0u) + i];
    }
    let size = sqrt(tree_sum(local, own).x);
    if (local == 0u) {
        var scale = number(3u);
        let limited = number(6u) / (size + number(4u));
        if (word(5u) != 0u && limited < 1.0) {
            scale *= limited;
        }
        sums[word(1u)] = scale;
        sums[word(1u) + 1u] = size;
    }
}

@compute @workgroup_size(256)
fn clip_values(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i >= word(1u)) {
        return;
    }
    // A NaN is neither above nor below, and stays.
    let at = word(0u) + i;
    let limit = number(2u);
    if (values[at] > limit) {
        values[at] = limit;
    } else if (values[at] < -limit) {
        values[at] = -limit;
    }
}

@compute @workgroup_size(256)
fn zero_unless_finite(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    let norm = bitcast<u32>(x[word(0u) + 1u]) & 0x7fffffffu;
    if (i < word(2u) && norm >= 0x7f800000u) {
        sums[word(1u) + i] = 0.0;
    }
}

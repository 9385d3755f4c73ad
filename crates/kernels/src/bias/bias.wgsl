@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// Partial sums of 16 columns, 16 for each.
var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i < word(3u) * word(4u)) {
        out[word(2u) + i] = x[word(0u) + i] + bias[word(1u) + i % word(4u)];
    }
}

// The sums of 16 columns: each invocation adds up every sixteenth row of a column, 64 terms at a time.
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = word(3u);
    let columns = word(4u);
    let column = flat(group, count, local % 16u, 16u);
    var sum = 0.0;
    if (column < columns) {
        for (var start = local / 16u; start < rows; start += 1024u) {
            var part = 0.0;
            let end = min(start + 1024u, rows);
            for (var row = start; row < end; row += 16u) {
                part += x[word(0u) + row * columns + column];
            }
            sum += part;
        }
    }
    partial[local] = sum;
    for (var half = 128u; half >= 16u; half >>= 1u) {
        workgroupBarrier();
        if (local < half) {
            partial[local] += partial[local + half];
        }
    }
    // The invocation that writes a sum is the one that added it up.
    if (local < 16u && column < columns) {
        let at = word(2u) + column;
        if (word(5u) != 0u) {
            out[at] += partial[local];
        } else {
            out[at] = partial[local];
        }
    }
}

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

// The partial sum of each workgroup; each invocation adds up 64 elements at a time.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let len = word(2u);
    let stride = 256u * count.x;
    var sum = 0.0;
    for (var start = group.x * 256u + local; start < len; start += 64u * stride) {
        var part = 0.0;
        let end = min(start + 64u * stride, len);
        for (var i = start; i < end; i += stride) {
            part += x[word(0u) + i];
        }
        sum += part;
    }
    let total = group_sum(local, sum);
    if (local == 0u) {
        sums[word(1u) + group.x] = total;
    }
}

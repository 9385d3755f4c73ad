// Adds up the parts of a product in order.

@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(256)
fn join(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    let len = word(2u) * word(3u);
    if (i >= len) {
        return;
    }
    var sum = 0.0;
    for (var part = 0u; part < word(5u); part += 1u) {
        sum += parts[word(0u) + part * len + i];
    }
    let at = word(1u) + (i / word(3u)) * word(4u) + i % word(3u);
    if (word(6u) != 0u) {
        sum += c[at];
    }
    c[at] = sum;
}

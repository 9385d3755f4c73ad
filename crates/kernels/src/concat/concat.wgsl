@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn copy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    let row = i / word(3u);
    let column = i % word(3u);
    if (row >= word(2u)) {
        return;
    }
    let value = source[word(0u) + word(4u) + row * word(5u) + column];
    let at = word(1u) + word(6u) + row * word(7u) + column;
    if (word(8u) != 0u) {
        out[at] += value;
    } else {
        out[at] = value;
    }
}

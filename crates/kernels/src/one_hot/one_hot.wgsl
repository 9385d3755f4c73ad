@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    let row = i / word(3u);
    let column = i % word(3u);
    if (row < word(2u)) {
        out[word(1u) + i] = select(0.0, 1.0, ids[word(0u) + row] == column);
    }
}

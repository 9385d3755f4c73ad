@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> resets: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// y: [rows, H] = x, zero in the rows that are reset.
@compute @workgroup_size(256)
fn masked(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i < word(3u)) {
        let reset = resets[word(1u) + i / word(4u)] != 0u;
        y[word(2u) + i] = select(x[word(0u) + i], 0.0, reset);
    }
}

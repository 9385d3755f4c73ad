// Running averages: a = w · share + a · (1 − share), exact if the share is 0 or 1.

@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> kept: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> average: array<f32>;

fn update(i: u32, share: f32) {
    let at = word(3u) + i;
    average[at] = fma(weight[word(2u) + i], share, average[at] * (1.0 - share));
}

@compute @workgroup_size(256)
fn average_all(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i < word(4u)) {
        update(i, number(5u));
    }
}

@compute @workgroup_size(256)
fn average_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i < word(4u)) {
        let width = word(5u);
        let row = i / width;
        update(rows[word(0u) + row] * width + i % width, 1.0 - kept[word(1u) + row]);
    }
}

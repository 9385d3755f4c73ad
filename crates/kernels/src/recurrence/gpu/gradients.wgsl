// After the steps backward: what is computed over all of them at once.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> resets: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> z: array<f32>;

// y: [rows, H] = x, zero in the rows that are reset.
@compute @workgroup_size(256)
fn masked(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i < word(4u)) {
        let reset = resets[word(1u) + i / word(5u)] != 0u;
        y[word(2u) + i] = select(x[word(0u) + i], 0.0, reset);
    }
}

var<workgroup> parts: array<f32, 256>;

// The sums of the columns of x: [rows, width], 32 of them for each workgroup, in y and the first of them in z, too.
@compute @workgroup_size(256)
fn column_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = word(4u);
    let width = word(5u);
    let column = 32u * (group.y * count.x + group.x) + local % 32u;
    // Eight invocations share a column, each with four sums.
    var sums = vec4<f32>();
    if (column < width) {
        var row = local / 32u;
        for (; row + 24u < rows; row += 32u) {
            let at = word(0u) + row * width + column;
            sums += vec4<f32>(x[at], x[at + 8u * width], x[at + 16u * width], x[at + 24u * width]);
        }
        for (; row < rows; row += 8u) {
            sums.x += x[word(0u) + row * width + column];
        }
    }
    parts[local] = sums.x + sums.y + (sums.z + sums.w);
    workgroupBarrier();
    if (local < 32u && column < width) {
        let near = parts[local] + parts[32u + local] + (parts[64u + local] + parts[96u + local]);
        let far = parts[128u + local] + parts[160u + local] + (parts[192u + local] + parts[224u + local]);
        let sum = near + far;
        let adds = word(7u) != 0u;
        let at = word(2u) + column;
        y[at] = select(sum, y[at] + sum, adds);
        if (column < word(6u)) {
            let at = word(3u) + column;
            z[at] = select(sum, z[at] + sum, adds);
        }
    }
}

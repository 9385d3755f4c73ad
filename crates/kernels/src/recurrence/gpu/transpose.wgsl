@group(0) @binding(1) var<storage, read> from_rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> to_columns: array<f32>;

// A tile of 32 × 32, of rows one longer, so that a column of it lies in different banks of the memory.
var<workgroup> tile: array<f32, 1056>;

// y: [N, M] = xᵀ of x: [M, N], a tile for each workgroup.
@compute @workgroup_size(256)
fn transpose_tile(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let m = word(2u);
    let n = word(3u);
    let index = group.y * count.x + group.x;
    let across = (n + 31u) / 32u;
    let first_row = 32u * (index / across);
    let first_column = 32u * (index % across);
    let lane = local % 32u;
    for (var i = local / 32u; i < 32u; i += 8u) {
        if (first_row + i < m && first_column + lane < n) {
            tile[i * 33u + lane] = from_rows[word(0u) + (first_row + i) * n + first_column + lane];
        }
    }
    workgroupBarrier();
    for (var i = local / 32u; i < 32u; i += 8u) {
        if (first_column + i < n && first_row + lane < m) {
            to_columns[word(1u) + (first_column + i) * m + first_row + lane] = tile[lane * 33u + i];
        }
    }
}

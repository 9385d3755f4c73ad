@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    if (i >= word(3u)) {
        return;
    }
    let width = word(5u);
    let id = ids[word(1u) + i / width];
    if (id < word(4u)) {
        y[word(2u) + i] = x[word(0u) + id * width + i % width];
    } else {
        var nan = 0x7fc00000u;
        y[word(2u) + i] = bitcast<f32>(nan);
    }
}

// Which of 256 rows have the workgroup's id.
var<workgroup> found: array<atomic<u32>, 8>;

// A workgroup does nothing if an earlier row has the id of its own; otherwise it adds all rows with it, in order.
@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let rows = word(3u);
    let width = word(5u);
    let chunks = (width + 255u) / 256u;
    let index = group.y * count.x + group.x;
    let row = index / chunks;
    let column = (index % chunks) * 256u + local;
    if (row >= rows) {
        return;
    }
    let id = ids[word(1u) + row];
    if (id >= word(4u)) {
        return;
    }
    let at = word(2u) + id * width + column;
    var sum = 0.0;
    if (column < width) {
        sum = y[at];
    }
    var is_first = true;
    for (var start = 0u; start < rows; start += 256u) {
        if (local < 8u) {
            atomicStore(&found[local], 0u);
        }
        workgroupBarrier();
        let position = start + local;
        if (position < rows && ids[word(1u) + position] == id) {
            atomicOr(&found[local / 32u], 1u << (local % 32u));
        }
        workgroupBarrier();
        for (var part = 0u; part < 8u; part++) {
            var bits = atomicLoad(&found[part]);
            while (bits != 0u) {
                let next = start + 32u * part + firstTrailingBit(bits);
                bits &= bits - 1u;
                is_first = is_first && next >= row;
                if (is_first && column < width) {
                    sum += x[word(0u) + next * width + column];
                }
            }
        }
        workgroupBarrier();
    }
    if (is_first && column < width) {
        y[at] = sum;
    }
}

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(256)
fn sparse(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let width = word(5u);
    let chunks = (width + 255u) / 256u;
    let index = group.y * count.x + group.x;
    let row = index / chunks;
    let column = (index % chunks) * 256u + local;
    if (row >= word(4u) || column >= width) {
        return;
    }
    let at = word(3u) + row * width + column;
    let first = starts[word(2u) + row] + word(6u);
    let end = min(starts[word(2u) + row + 1u], first + word(7u));
    var sum = 0.0;
    if (word(6u) != 0u) {
        sum = values[at];
    }
    for (var i = first; i < end; i++) {
        sum += x[word(0u) + order[word(1u) + i] * width + column];
    }
    values[at] = sum;
}

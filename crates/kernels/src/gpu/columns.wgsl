// A workgroup sums 32 columns, each in 8 parts. A part adds up blocks of 32 rows, each in a sum of its own.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> to: array<f32>;

var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(256)
fn sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let column = flat(group, count, local % 32u, 32u);
    let rows = word(2u);
    var total = 0.0;
    if (column < word(3u)) {
        var block = 0.0;
        var taken = 0u;
        for (var row = local / 32u; row < rows; row += 8u) {
            block += x[word(0u) + row * word(4u) + column];
            taken += 1u;
            if (taken == 32u) {
                total += block;
                block = 0.0;
                taken = 0u;
            }
        }
        total += block;
    }
    parts[local] = total;
    workgroupBarrier();
    for (var half = 128u; half >= 32u; half /= 2u) {
        if (local < half) {
            parts[local] += parts[local + half];
        }
        workgroupBarrier();
    }
    if (local < 32u && column < word(3u)) {
        let at = word(1u) + column;
        if (word(5u) != 0u) {
            to[at] += parts[local];
        } else {
            to[at] = parts[local];
        }
    }
}

@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> next: array<u32>;
@group(0) @binding(3) var<storage, read_write> shares: array<f32>;

// The sums of all weights and of those of the row's own word.
var<workgroup> tree: array<vec2<f32>, 256>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * count.x + group.x;
    if (row >= word(3u)) {
        return;
    }
    let positions = word(4u);
    let own = positions - word(3u) + row;
    let start = own - min(own, word(5u));
    let id = next[word(1u) + own];
    let first = word(0u) + row * positions;
    var infinity_bits = 0x7f800000u;

    // The largest of the numbers; a NaN makes the sums NaN.
    var largest = -bitcast<f32>(infinity_bits);
    for (var i = start + local; i < own; i += 256u) {
        let score = scores[first + i];
        if (score > largest) {
            largest = score;
        }
    }
    tree[local].x = largest;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            tree[local].x = max(tree[local].x, tree[local + half].x);
        }
        workgroupBarrier();
    }
    largest = tree[0].x;
    workgroupBarrier();

    var sums = vec2<f32>();
    for (var i = start + local; i < own; i += 256u) {
        let exponent = (scores[first + i] - largest) * number(6u);
        var weight = exponent;
        if (!is_nan(exponent)) {
            // Below the normal range a weight is 0.
            weight = select(0.0, exp(exponent), exponent >= -87.0);
        }
        sums.x += weight;
        if (next[word(1u) + i] == id) {
            sums.y += weight;
        }
    }
    tree[local] = sums;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            tree[local] += tree[local + half];
        }
        workgroupBarrier();
    }
    if (local == 0u) {
        var share = 0.0;
        if (start < own) {
            share = tree[0].y / tree[0].x;
            // If every word matches, rounding must not make the probability exceed 1.
            if (share > 1.0) {
                share = 1.0;
            }
        }
        shares[word(2u) + row] = share;
    }
}

@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> log_probs: array<f32>;
@group(0) @binding(4) var<storage, read_write> entropies: array<f32>;
@group(0) @binding(5) var<storage, read_write> ranks: array<u32>;

// Sums of weights, of their products with the logits, and counts.
var<workgroup> tree: array<vec2<f32>, 256>;
var<workgroup> counts: array<u32, 256>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * count.x + group.x;
    if (row >= word(5u)) {
        return;
    }
    let vocab = word(6u);
    let first = word(0u) + row * vocab;
    let target_id = targets[word(1u) + row];
    var infinity_bits = 0x7f800000u;
    let infinity = bitcast<f32>(infinity_bits);

    // NaN counts as ∞.
    var own = -infinity;
    for (var i = local; i < vocab; i += 256u) {
        let x = logits[first + i];
        if (is_nan(x)) {
            own = infinity;
        } else if (x > own) {
            own = x;
        }
    }
    tree[local].x = own;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            tree[local].x = max(tree[local].x, tree[local + half].x);
        }
        workgroupBarrier();
    }
    let largest = tree[0].x;
    workgroupBarrier();

    var token = 0.0;
    if (target_id < vocab) {
        token = logits[first + target_id];
    }
    var sums = vec2<f32>();
    var above = 0u;
    for (var i = local; i < vocab; i += 256u) {
        let x = logits[first + i];
        let shifted = x - largest;
        if (shifted > -87.0) {
            let weight = exp(shifted);
            sums += vec2<f32>(weight, weight * shifted);
        }
        if (x > token) {
            above += 1u;
        }
    }
    tree[local] = sums;
    counts[local] = above;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            tree[local] += tree[local + half];
            counts[local] += counts[local + half];
        }
        workgroupBarrier();
    }
    if (local != 0u) {
        return;
    }
    var log_prob = bitcast<f32>(infinity_bits | 0x400000u);
    var entropy = log_prob;
    if ((bitcast<u32>(largest) & 0x7fffffffu) < 0x7f800000u) {
        let log_sum = log(tree[0].x);
        entropy = log_sum - tree[0].y / tree[0].x;
        if (target_id < vocab) {
            log_prob = token - largest - log_sum;
        }
    }
    log_probs[word(2u) + row] = log_prob;
    entropies[word(3u) + row] = entropy;
    ranks[word(4u) + row] = 1u + counts[0];
}

@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> known_log_sums: array<f32>;
// The negative log-likelihoods, or the gradient of the logits.
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<storage, read_write> log_sums: array<f32>;

// Two passes over a row: its largest logit, and the sum of the weights.
@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * count.x + group.x;
    let vocab = word(6u);
    if (row >= word(5u)) {
        return;
    }
    let start = word(0u) + row * vocab;
    var largest = logits[start];
    for (var i = local; i < vocab; i += 256u) {
        largest = max(largest, logits[start + i]);
    }
    let shift = group_max(local, largest);
    var sum = 0.0;
    for (var i = local; i < vocab; i += 256u) {
        sum += shifted_exp(logits[start + i], shift, 1.0);
    }
    let total = log(group_sum(local, sum));
    if (local == 0u) {
        log_sums[word(4u) + row] = shift + total;
        // Not from the log-sum: for a likely target, that would lose the significant digits.
        out[word(3u) + row] = total + (shift - logits[start + targets[word(1u) + row]]);
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    let row = i / word(6u);
    let column = i % word(6u);
    if (row >= word(5u)) {
        return;
    }
    let scale = number(8u);
    let probability = shifted_exp(logits[word(0u) + i], known_log_sums[word(2u) + row], 1.0);
    var gradient = scale * probability;
    let at = word(3u) + i;
    if (word(7u) != 0u) {
        gradient += out[at];
    }
    if (targets[word(1u) + row] == column) {
        gradient -= scale;
    }
    out[at] = gradient;
}

@group(0) @binding(1) var<storage, read> hidden: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>;
@group(0) @binding(5) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * count.x + group.x;
    let width = word(6u);
    if (row >= word(5u)) {
        return;
    }
    let id = targets[word(3u) + row];
    var sum = 0.0;
    for (var i = local; i < width; i += 256u) {
        sum = fma(hidden[word(0u) + row * width + i], weight[word(1u) + id * width + i], sum);
    }
    var logit = group_sum(local, sum);
    if (local == 0u) {
        if (word(7u) != 0u) {
            logit += bias[word(2u) + id];
        }
        logits[word(4u) + row] = logit;
    }
}

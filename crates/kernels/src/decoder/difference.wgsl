// Turns logits into the gradient of the loss: the probability minus 1 at the target.

@group(0) @binding(1) var<storage, read> targets: array<u32>;
// Logits, then two numbers of each row: the largest, and the logarithm of the sum.
@group(0) @binding(2) var<storage, read_write> kept: array<f32>;

@compute @workgroup_size(256)
fn difference(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, groups, local, 256u);
    let count = word(2u) * word(3u);
    if (i >= count) {
        return;
    }
    let row = i / word(3u);
    let at = word(1u) + i;
    let stats = word(1u) + count + 2u * row;
    var d = exp((kept[at] - kept[stats]) - kept[stats + 1u]);
    if (i % word(3u) == targets[word(0u) + row]) {
        d -= 1.0;
    }
    kept[at] = number(4u) * d;
}

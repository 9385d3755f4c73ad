// Looks at the logits of a part of the vocabulary, a row in each workgroup: the largest one, and the sum of the exponentials
// relative to it, joined with those of the parts before. After the last part follows the row's negative log-likelihood.

@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> only_as_target: array<u32>;
// Logits unless they are kept, then three numbers of each row: the largest, the sum, the target's logit.
@group(0) @binding(3) var<storage, read_write> scratch: array<f32>;
// Logits, then two numbers of each row: the largest, and the logarithm of the sum.
@group(0) @binding(4) var<storage, read_write> kept: array<f32>;
@group(0) @binding(5) var<storage, read_write> nll: array<f32>;

var<workgroup> parts: array<f32, 256>;
var<workgroup> nans: array<u32, 256>;

fn logit(at: u32) -> f32 {
    if (word(11u) != 0u) {
        return kept[word(3u) + word(8u) + at];
    }
    return scratch[word(2u) + at];
}

fn hide(at: u32) {
    if (word(11u) != 0u) {
        kept[word(3u) + word(8u) + at] = number(15u);
    } else {
        scratch[word(2u) + at] = number(15u);
    }
}

@compute @workgroup_size(256)
fn look(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * groups.x + group.x;
    let is_row = row < word(5u);
    let count = word(6u);
    let start = row * word(7u);
    let first = word(8u);
    var target_id = 0u;
    var largest = number(15u);
    var has_nan = 0u;
    if (is_row) {
        target_id = targets[word(0u) + row];
        for (var i = local; i < count; i += 256u) {
            if (word(9u) != 0u && first + i != target_id && only_as_target[word(1u) + first + i] != 0u) {
                hide(start + i);
            } else {
                let x = logit(start + i);
                if (is_nan(x)) {
                    has_nan = 1u;
                }
                largest = max(largest, x);
            }
        }
    }
    parts[local] = largest;
    nans[local] = has_nan;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            parts[local] = max(parts[local], parts[local + half]);
            nans[local] |= nans[local + half];
        }
        workgroupBarrier();
    }
    largest = parts[0];
    has_nan = nans[0];
    workgroupBarrier();
    var sum = 0.0;
    if (is_row) {
        for (var i = local; i < count; i += 256u) {
            sum += exp(logit(start + i) - largest);
        }
    }
    parts[local] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            parts[local] += parts[local + half];
        }
        workgroupBarrier();
    }
    if (local != 0u || !is_row) {
        return;
    }
    sum = parts[0];
    if (has_nan != 0u) {
        sum = number(14u);
    }
    let stats = word(2u) + word(12u) + 3u * row;
    if (first > 0u) {
        let before = scratch[stats];
        let all = max(before, largest);
        sum = scratch[stats + 1u] * exp(before - all) + sum * exp(largest - all);
        largest = all;
    }
    scratch[stats] = largest;
    scratch[stats + 1u] = sum;
    if (target_id >= first && target_id < first + count) {
        scratch[stats + 2u] = logit(start + target_id - first);
    }
    if (word(10u) != 0u) {
        let log_sum = log(sum);
        nll[word(4u) + row] = (largest - scratch[stats + 2u]) + log_sum;
        if (word(11u) != 0u) {
            let at = word(3u) + word(13u) + 2u * row;
            kept[at] = largest;
            kept[at + 1u] = log_sum;
        }
    }
}

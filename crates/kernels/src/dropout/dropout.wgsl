@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// The high half of the product of two words, from the products of their halves.
fn high_product(a: u32, b: u32) -> u32 {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let middle = a1 * b0 + ((a0 * b0) >> 16u);
    let other = a0 * b1 + (middle & 0xffffu);
    return a1 * b1 + (middle >> 16u) + (other >> 16u);
}

// The four random words of a block of the mask: Philox4x32-10.
fn random(block: u32) -> vec4<u32> {
    var key = vec2<u32>(word(3u), word(4u));
    var c = vec4<u32>(block, 0u, word(5u), word(6u));
    for (var round = 0u; round < 10u; round += 1u) {
        let high0 = high_product(c.x, 0xd2511f53u);
        let high1 = high_product(c.z, 0xcd9e8d57u);
        c = vec4<u32>(high1 ^ c.y ^ key.x, c.z * 0xcd9e8d57u, high0 ^ c.w ^ key.y, c.x * 0xd2511f53u);
        key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

// What an element is multiplied by, given the words of its block: each of their halves belongs to an element.
fn factor(words: vec4<u32>, draw: u32) -> f32 {
    let bits = (words[draw >> 1u] >> (16u * (draw & 1u))) & 0xffffu;
    return select(0.0, number(8u), bits >= word(7u));
}

// An invocation for each block of the mask and each step that it applies to. A block's eight elements lie 128 apart, so
// neighbors in memory belong to neighbors.
@compute @workgroup_size(256)
fn elements(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(group, count, local, 256u);
    let block = i % word(9u);
    let step = i / word(9u);
    let mask_len = word(10u);
    if (step >= word(11u)) {
        return;
    }
    var words = vec4<u32>();
    if (word(7u) != 0u) {
        words = random(block);
    }
    let first = (block / 128u) * 1024u + block % 128u;
    for (var draw = 0u; draw < 8u; draw += 1u) {
        let element = first + 128u * draw;
        if (element >= mask_len) {
            break;
        }
        // The mask may be for more columns than there are here.
        let in_step = element % word(16u);
        if (in_step < word(14u) || in_step >= word(14u) + word(15u)) {
            continue;
        }
        let at = (step + element / word(16u)) * word(15u) + in_step - word(14u);
        let to = word(2u) + at;
        if (word(12u) != 0u) {
            out[to] *= factor(words, draw);
        } else {
            let value = source[word(0u) + at] * factor(words, draw);
            if (word(13u) != 0u) {
                out[to] += value;
            } else {
                out[to] = value;
            }
        }
    }
}

// A workgroup for each row.
@compute @workgroup_size(64)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.y * count.x + group.x;
    let width = word(10u);
    if (row >= word(9u)) {
        return;
    }
    let id = ids[word(1u) + row];
    let words = random((id / 1024u) * 128u + id % 128u);
    let by = factor(words, (id % 1024u) / 128u);
    for (var i = local; i < width; i += 64u) {
        out[word(2u) + row * width + i] *= by;
    }
}

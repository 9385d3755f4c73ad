@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> caps: array<f32>;

fn infinity() -> f32 {
    var bits = 0x7f800000u;
    return bitcast<f32>(bits);
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) < 0x7f800000u;
}

// A token's logit under its cap; −∞ beyond the row's end. The numbers begin at word `at`.
fn capped(at: u32, row: u32, token: u32) -> f32 {
    if (token >= word(at)) {
        return -infinity();
    }
    let x = logits[word(0u) + row * word(at) + token];
    var cap = infinity();
    if (word(at + 3u) != 0u) {
        cap = caps[word(1u) + token];
    }
    if (is_nan(x) || x >= cap) {
        return cap;
    }
    return x;
}

// Relative to the largest; 0 below the normal range.
fn weight(x: f32, largest: f32, factor: f32) -> f32 {
    let exponent = (x - largest) * factor;
    if (exponent >= -87.0) {
        return exp(exponent);
    }
    return 0.0;
}

var<workgroup> tree: array<f32, 256>;

fn tree_max(local: u32, own: f32) -> f32 {
    tree[local] = own;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            tree[local] = max(tree[local], tree[local + half]);
        }
        workgroupBarrier();
    }
    let largest = tree[0];
    workgroupBarrier();
    return largest;
}

@group(0) @binding(3) var<storage, read_write> to_maxima: array<f32>;
@group(0) @binding(4) var<storage, read_write> to_sums: array<f32>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = group.y * count.x + group.x;
    if (index >= word(8u)) {
        return;
    }
    let row = index / word(5u);
    let x = capped(4u, row, (index % word(5u)) * 256u + local);
    let largest = tree_max(local, x);
    if (local == 0u) {
        to_maxima[word(2u) + index] = largest;
    }
    if (word(9u) == 0u) {
        return;
    }
    tree[local] = weight(x, largest, number(6u));
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (local < half) {
            tree[local] += tree[local + half];
        }
        workgroupBarrier();
    }
    if (local == 0u) {
        to_sums[word(3u) + index] = select(0.0, tree[0], is_finite(largest));
    }
}

// Integers of 64 bits: the low ones, and the high ones.

fn plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn minus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

fn is_below(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// A weight in units of 2^-42: the sum of two million fits.
fn fixed(weight: f32) -> vec2<u32> {
    let scaled = weight * 1024.0;
    let high = floor(scaled);
    return vec2<u32>(u32((scaled - high) * 4294967296.0), u32(high));
}

// a · fraction / 2^64, below `a`.
fn part(a: vec2<u32>, fraction: vec2<u32>) -> vec2<u32> {
    var rest = a;
    var sum = vec2<u32>();
    for (var i = 0u; i < 64u; i++) {
        rest = vec2<u32>((rest.x >> 1u) | (rest.y << 31u), rest.y >> 1u);
        let bits = select(fraction.x, fraction.y, i < 32u);
        if (((bits >> (31u - i % 32u)) & 1u) != 0u) {
            sum = plus(sum, rest);
        }
    }
    return sum;
}

// a · 2^64 / b, for a < b < 2^63.
fn quotient(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    var rest = a;
    var bits = vec2<u32>();
    for (var i = 0u; i < 64u; i++) {
        rest = vec2<u32>(rest.x << 1u, (rest.y << 1u) | (rest.x >> 31u));
        bits = vec2<u32>(bits.x << 1u, (bits.y << 1u) | (bits.x >> 31u));
        if (!is_below(rest, b)) {
            rest = minus(rest, b);
            bits.x |= 1u;
        }
    }
    return bits;
}

@group(0) @binding(3) var<storage, read> maxima: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> ids: array<u32>;

// Each invocation's sum of the weights of neighboring blocks, then the weights of a block.
var<workgroup> weights: array<vec2<u32>, 256>;
// The block that the point falls into, and where within it.
var<workgroup> block: u32;
var<workgroup> within: vec2<u32>;

// The first invocation's sum of all weights.
fn sum_of_weights() -> vec2<u32> {
    var sum = vec2<u32>();
    for (var i = 0u; i < 256u; i++) {
        sum = plus(sum, weights[i]);
    }
    return sum;
}

@compute @workgroup_size(256)
fn pick(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = group.x;
    let blocks = word(6u);
    let factor = number(7u);
    let first = row * blocks;

    var own = -infinity();
    for (var i = local; i < blocks; i += 256u) {
        own = max(own, maxima[word(2u) + first + i]);
    }
    let largest = tree_max(local, own);
    if (!is_finite(largest)) {
        if (local == 0u) {
            ids[word(4u) + row] = 0u;
        }
        return;
    }

    let share = (blocks + 255u) / 256u;
    let start = min(local * share, blocks);
    let end = min(start + share, blocks);
    var sum = vec2<u32>();
    for (var i = first + start; i < first + end; i++) {
        let value = sums[word(3u) + i] * weight(maxima[word(2u) + i], largest, factor);
        sums[word(3u) + i] = value;
        sum = plus(sum, fixed(value));
    }
    weights[local] = sum;
    storageBarrier();
    workgroupBarrier();
    if (local == 0u) {
        let point = vec2<u32>(word(10u + 2u * row), word(9u + 2u * row));
        // It is below the sum, so it falls into one of them.
        var left = part(sum_of_weights(), point);
        var at = 0u;
        while (at < 255u && !is_below(left, weights[at])) {
            left = minus(left, weights[at]);
            at++;
        }
        at *= share;
        var size = fixed(sums[word(3u) + first + at]);
        while (at + 1u < blocks && !is_below(left, size)) {
            left = minus(left, size);
            at++;
            size = fixed(sums[word(3u) + first + at]);
        }
        block = at;
        within = quotient(left, size);
    }
    workgroupBarrier();
    let token = block * 256u + local;
    weights[local] = fixed(weight(capped(5u, row, token), maxima[word(2u) + first + block], factor));
    workgroupBarrier();
    if (local == 0u) {
        var left = part(sum_of_weights(), within);
        var at = 0u;
        while (at < 255u && !is_below(left, weights[at])) {
            left = minus(left, weights[at]);
            at++;
        }
        ids[word(4u) + row] = block * 256u + at;
    }
}

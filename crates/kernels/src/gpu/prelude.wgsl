// Before each kernel: the numbers that it is called with.

struct Words {
    values: array<vec4<u32>, 16>,
}

// First the offset of each binding, in elements, then the numbers of the operation.
@group(0) @binding(0) var<uniform> words: Words;

fn word(i: u32) -> u32 {
    return words.values[i >> 2u][i & 3u];
}

fn number(i: u32) -> f32 {
    return bitcast<f32>(word(i));
}

// `x != x` is false for NaN in some translations of WGSL.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// The index of an invocation in a grid of two dimensions.
fn flat(group: vec3<u32>, count: vec3<u32>, local: u32, size: u32) -> u32 {
    return (group.y * count.x + group.x) * size + local;
}

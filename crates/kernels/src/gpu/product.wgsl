// C (+)= A·B (+ bias), 16 terms of the sums at a time. The terms can be divided into parts, each with a C of its own.
//
//   large   256 invocations, a tile of 64 × 64, each 4 × 4
//   thin    256 invocations, a tile of 16 × 64, each 1 × 4

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

// A column of 64 for each of 16 terms, and a row of 64.
var<workgroup> tile_a: array<f32, 1024>;
var<workgroup> tile_b: array<vec4<f32>, 256>;

// The terms of this part end here.
var<private> end: u32;

fn value_a(row: u32, term: u32) -> f32 {
    if (row >= word(4u) || term >= end) {
        return 0.0;
    }
    return a[word(0u) + row * word(7u) + term * word(8u)];
}

fn value_b(term: u32, column: u32) -> f32 {
    if (term >= end || column >= word(6u)) {
        return 0.0;
    }
    return b[word(1u) + term * word(9u) + column * word(10u)];
}

fn row_of_b(term: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        value_b(term, column),
        value_b(term, column + 1u),
        value_b(term, column + 2u),
        value_b(term, column + 3u),
    );
}

fn put(part: u32, row: u32, column: u32, sum: f32) {
    if (row >= word(4u) || column >= word(6u)) {
        return;
    }
    var value = sum;
    if (word(14u) != 0u) {
        value += bias[word(2u) + column];
    }
    let at = word(3u) + part * word(16u) + row * word(11u) + column;
    if (word(13u) != 0u) {
        value += c[at];
    }
    c[at] = value;
}

fn put_row(part: u32, row: u32, column: u32, sums: vec4<f32>) {
    put(part, row, column, sums.x);
    put(part, row, column + 1u, sums.y);
    put(part, row, column + 2u, sums.z);
    put(part, row, column + 3u, sums.w);
}

@compute @workgroup_size(256)
fn large(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = group.y * count.x + group.x;
    let first_row = (tile / word(12u)) * 64u;
    let first_column = (tile % word(12u)) * 64u;
    let row = local / 16u;
    let column = local % 16u;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    var part0 = vec4<f32>();
    var part1 = vec4<f32>();
    var part2 = vec4<f32>();
    var part3 = vec4<f32>();
    var steps = 0u;
    let begin = group.z * word(15u);
    end = min(begin + word(15u), word(5u));
    for (var start = begin; start < end; start += 16u) {
        // Neighbors in memory are loaded by neighbors, whichever way A lies.
        if (word(8u) == 1u) {
            let term = local % 16u;
            let first = local / 16u;
            tile_a[term * 64u + first] = value_a(first_row + first, start + term);
            tile_a[term * 64u + first + 16u] = value_a(first_row + first + 16u, start + term);
            tile_a[term * 64u + first + 32u] = value_a(first_row + first + 32u, start + term);
            tile_a[term * 64u + first + 48u] = value_a(first_row + first + 48u, start + term);
        } else {
            let first = local % 64u;
            let term = local / 64u;
            tile_a[term * 64u + first] = value_a(first_row + first, start + term);
            tile_a[(term + 4u) * 64u + first] = value_a(first_row + first, start + term + 4u);
            tile_a[(term + 8u) * 64u + first] = value_a(first_row + first, start + term + 8u);
            tile_a[(term + 12u) * 64u + first] = value_a(first_row + first, start + term + 12u);
        }
        if (word(10u) == 1u) {
            tile_b[local] = row_of_b(start + local / 16u, first_column + 4u * (local % 16u));
        } else {
            let term = local % 16u;
            let four = local / 16u;
            tile_b[term * 16u + four] = row_of_b(start + term, first_column + 4u * four);
        }
        workgroupBarrier();
        for (var term = 0u; term < 16u; term += 2u) {
            let b0 = tile_b[term * 16u + column];
            let b1 = tile_b[term * 16u + 16u + column];
            let at = term * 64u + 4u * row;
            part0 = fma(vec4<f32>(tile_a[at]), b0, part0);
            part1 = fma(vec4<f32>(tile_a[at + 1u]), b0, part1);
            part2 = fma(vec4<f32>(tile_a[at + 2u]), b0, part2);
            part3 = fma(vec4<f32>(tile_a[at + 3u]), b0, part3);
            part0 = fma(vec4<f32>(tile_a[at + 64u]), b1, part0);
            part1 = fma(vec4<f32>(tile_a[at + 65u]), b1, part1);
            part2 = fma(vec4<f32>(tile_a[at + 66u]), b1, part2);
            part3 = fma(vec4<f32>(tile_a[at + 67u]), b1, part3);
        }
        workgroupBarrier();
        steps += 1u;
        if (steps == 16u) {
            sum0 += part0;
            sum1 += part1;
            sum2 += part2;
            sum3 += part3;
            part0 = vec4<f32>();
            part1 = vec4<f32>();
            part2 = vec4<f32>();
            part3 = vec4<f32>();
            steps = 0u;
        }
    }
    let to_row = first_row + 4u * row;
    let to_column = first_column + 4u * column;
    put_row(group.z, to_row, to_column, sum0 + part0);
    put_row(group.z, to_row + 1u, to_column, sum1 + part1);
    put_row(group.z, to_row + 2u, to_column, sum2 + part2);
    put_row(group.z, to_row + 3u, to_column, sum3 + part3);
}

@compute @workgroup_size(256)
fn thin(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = group.y * count.x + group.x;
    let first_row = (tile / word(12u)) * 16u;
    let first_column = (tile % word(12u)) * 64u;
    let row = local / 16u;
    let column = local % 16u;
    var sum = vec4<f32>();
    var part = vec4<f32>();
    var steps = 0u;
    let begin = group.z * word(15u);
    end = min(begin + word(15u), word(5u));
    for (var start = begin; start < end; start += 16u) {
        tile_a[(local % 16u) * 64u + local / 16u] = value_a(first_row + local / 16u, start + local % 16u);
        if (word(10u) == 1u) {
            tile_b[local] = row_of_b(start + local / 16u, first_column + 4u * (local % 16u));
        } else {
            let term = local % 16u;
            let four = local / 16u;
            tile_b[term * 16u + four] = row_of_b(start + term, first_column + 4u * four);
        }
        workgroupBarrier();
        for (var term = 0u; term < 16u; term += 4u) {
            part = fma(vec4<f32>(tile_a[term * 64u + row]), tile_b[term * 16u + column], part);
            part = fma(vec4<f32>(tile_a[term * 64u + 64u + row]), tile_b[term * 16u + 16u + column], part);
            part = fma(vec4<f32>(tile_a[term * 64u + 128u + row]), tile_b[term * 16u + 32u + column], part);
            part = fma(vec4<f32>(tile_a[term * 64u + 192u + row]), tile_b[term * 16u + 48u + column], part);
        }
        workgroupBarrier();
        steps += 1u;
        if (steps == 16u) {
            sum += part;
            part = vec4<f32>();
            steps = 0u;
        }
    }
    put_row(group.z, first_row + row, first_column + 4u * column, sum + part);
}

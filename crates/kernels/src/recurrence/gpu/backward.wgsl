// Steps backward. A cell is `GATES`; `d_recurrent`, the gradient of a row's recurrent projection; and `previous`, its
// arithmetic, which returns that gradient for each gate of a unit.

// [G·H, H].
@group(0) @binding(1) var<storage, read> packed: array<f32>;
// Of the cell, if it has such, or else the outputs.
@group(0) @binding(2) var<storage, read> states: array<f32>;
@group(0) @binding(3) var<storage, read> resets: array<u32>;
@group(0) @binding(4) var<storage, read> d_output: array<f32>;
@group(0) @binding(5) var<storage, read_write> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> extra: array<f32>;
// [B, H]: from a step to the one before it.
@group(0) @binding(7) var<storage, read_write> carry: array<f32>;

fn hidden() -> u32 {
    return word(7u);
}

fn batch() -> u32 {
    return word(8u);
}

fn gates_width() -> u32 {
    return GATES * hidden();
}

fn is_reset(row: u32) -> bool {
    if (word(12u) != 0u) {
        return resets[word(2u) + row] != 0u;
    }
    return false;
}

// The state before the step of this row.
fn state(row: u32, j: u32) -> f32 {
    return select(states[word(1u) + row * hidden() + j], 0.0, is_reset(row));
}

// The gradient of a cell state before it was clipped, if it was.
fn clip_gradient(c: f32, d_c: f32) -> f32 {
    let limit = bitcast<f32>(word(13u));
    return select(d_c, 0.0, limit >= 0.0 && abs(c) >= limit);
}

fn gate(row: u32, gate: u32, j: u32) -> f32 {
    return gates[word(4u) + row * gates_width() + gate * hidden() + j];
}

fn set_gate(row: u32, gate: u32, j: u32, value: f32) {
    gates[word(4u) + row * gates_width() + gate * hidden() + j] = value;
}

// Whether a gradient comes from the step after this row's: there is one, and it does not start from zero.
fn has_after(t: u32, row: u32) -> bool {
    if (t + 1u < word(9u)) {
        return !is_reset(row + batch());
    }
    return false;
}

// The arithmetic of a unit, given what comes through the weight from the step after.
fn unit(t: u32, b: u32, j: u32, product: f32) -> vec4<f32> {
    let row = t * batch() + b;
    var d_h = d_output[word(3u) + row * hidden() + j];
    var carried = 0.0;
    if (has_after(t, row)) {
        d_h += product;
        carried = carry[word(6u) + b * hidden() + j];
    }
    return previous(row, b, j, d_h, carried);
}

fn weight(term: u32, j: u32) -> f32 {
    return packed[word(0u) + term * hidden() + j];
}

fn weights(term: u32, j: u32) -> vec4<f32> {
    return vec4<f32>(weight(term, j), weight(term + 1u, j), weight(term + 2u, j), weight(term + 3u, j));
}

// The gradient of the recurrent projection of the step after, and that of this step, which change places.
var<workgroup> walked: array<f32, 4096>;
const ROOM: u32 = 2048u;

fn four_walked(at: u32) -> vec4<f32> {
    return vec4<f32>(walked[at], walked[at + 1u], walked[at + 2u], walked[at + 3u]);
}

// All steps of a dispatch for one batch row.
@compute @workgroup_size(256)
fn walk(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let b = group.y * count.x + group.x;
    if (b >= batch()) {
        return;
    }
    var now = 0u;
    if (word(10u) < word(9u)) {
        for (var i = local; i < gates_width(); i += 256u) {
            walked[i] = d_recurrent(word(10u) * batch() + b, i);
        }
    }
    workgroupBarrier();
    for (var step = 1u; step <= word(11u); step++) {
        let t = word(10u) - step;
        let terms = select(0u, gates_width(), has_after(t, t * batch() + b));
        for (var j = local; j < hidden(); j += 256u) {
            // Sixteen terms at a time, so that many weights are under way.
            var near = vec4<f32>();
            var far = vec4<f32>();
            var i = 0u;
            for (; i + 16u <= terms; i += 16u) {
                let w0 = weights(i, j);
                let w1 = weights(i + 4u, j);
                let w2 = weights(i + 8u, j);
                let w3 = weights(i + 12u, j);
                near = fma(w0, four_walked(now + i), near);
                far = fma(w1, four_walked(now + i + 4u), far);
                near = fma(w2, four_walked(now + i + 8u), near);
                far = fma(w3, four_walked(now + i + 12u), far);
            }
            for (; i + 4u <= terms; i += 4u) {
                near = fma(weights(i, j), four_walked(now + i), near);
            }
            for (; i < terms; i++) {
                near.x = fma(weight(i, j), walked[now + i], near.x);
            }
            let sums = near + far;
            let d_gates = unit(t, b, j, sums.x + sums.y + (sums.z + sums.w));
            for (var gate = 0u; gate < GATES; gate++) {
                walked[ROOM - now + gate * hidden() + j] = d_gates[gate];
            }
        }
        now = ROOM - now;
        workgroupBarrier();
    }
}

// 512 terms of the gradients of four rows.
var<workgroup> terms_of_rows: array<vec4<f32>, 512>;
// Parts of the sums of 32 units, in 4 rows: 8 of each.
var<workgroup> parts: array<vec4<f32>, 256>;

fn d_recurrent_of(b: u32, term: u32) -> f32 {
    if (b >= batch()) {
        return 0.0;
    }
    return d_recurrent(word(10u) * batch() + b, term);
}

// Adds four terms to the sums of four rows.
fn four_terms(w: vec4<f32>, i: u32, sums: vec4<f32>) -> vec4<f32> {
    let near = fma(vec4<f32>(w.y), terms_of_rows[i + 1u], fma(vec4<f32>(w.x), terms_of_rows[i], sums));
    return fma(vec4<f32>(w.w), terms_of_rows[i + 3u], fma(vec4<f32>(w.z), terms_of_rows[i + 2u], near));
}

// One step for 4 batch rows and 32 units. Of the sums, each of 8 invocations adds up an eighth.
@compute @workgroup_size(256)
fn step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = group.y * count.x + group.x;
    let blocks = (hidden() + 31u) / 32u;
    let first_b = 4u * (tile / blocks);
    let lane = local % 32u;
    let part = local / 32u;
    let j = 32u * (tile % blocks) + lane;
    let terms = select(0u, gates_width(), word(10u) < word(9u));
    var sums = vec4<f32>();
    for (var start = 0u; start < terms; start += 512u) {
        let len = min(512u, terms - start);
        for (var i = local; i < len; i += 256u) {
            let at = start + i;
            terms_of_rows[i] = vec4<f32>(
                d_recurrent_of(first_b, at),
                d_recurrent_of(first_b + 1u, at),
                d_recurrent_of(first_b + 2u, at),
                d_recurrent_of(first_b + 3u, at),
            );
        }
        workgroupBarrier();
        let share = (len + 7u) / 8u;
        let end = select(0u, min((part + 1u) * share, len), j < hidden());
        var block = vec4<f32>();
        var i = part * share;
        for (; i + 16u <= end; i += 16u) {
            let w0 = weights(start + i, j);
            let w1 = weights(start + i + 4u, j);
            let w2 = weights(start + i + 8u, j);
            let w3 = weights(start + i + 12u, j);
            block = four_terms(w0, i, block);
            block = four_terms(w1, i + 4u, block);
            block = four_terms(w2, i + 8u, block);
            block = four_terms(w3, i + 12u, block);
        }
        for (; i + 4u <= end; i += 4u) {
            block = four_terms(weights(start + i, j), i, block);
        }
        for (; i < end; i++) {
            block = fma(vec4<f32>(weight(start + i, j)), terms_of_rows[i], block);
        }
        sums += block;
        workgroupBarrier();
    }
    parts[local] = sums;
    workgroupBarrier();
    // Now an invocation is one row, which `part` numbers, and one unit.
    let b = first_b + part;
    if (part < 4u && b < batch() && j < hidden()) {
        let near = parts[lane] + parts[32u + lane] + (parts[64u + lane] + parts[96u + lane]);
        let far = parts[128u + lane] + parts[160u + lane] + (parts[192u + lane] + parts[224u + lane]);
        unit(word(10u) - 1u, b, j, (near + far)[part]);
    }
}

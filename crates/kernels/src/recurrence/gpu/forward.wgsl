// Steps forward. A cell is `Sums`, a number for each gate; `weights`, the weights of one term in the sums of a unit; and
// `next_state`, its arithmetic.

// [H, G·H].
@group(0) @binding(1) var<storage, read> packed: array<f32>;
@group(0) @binding(2) var<storage, read> bias_ih: array<f32>;
@group(0) @binding(3) var<storage, read> bias_hh: array<f32>;
@group(0) @binding(4) var<storage, read> resets: array<u32>;
@group(0) @binding(5) var<storage, read_write> gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> states: array<f32>;
// What else the cell keeps.
@group(0) @binding(7) var<storage, read_write> more: array<f32>;

fn hidden() -> u32 {
    return word(7u);
}

fn batch() -> u32 {
    return word(8u);
}

fn gates_width() -> u32 {
    return word(9u);
}

fn first_step() -> u32 {
    return word(10u);
}

fn is_reset(row: u32) -> bool {
    if (word(13u) != 0u) {
        return resets[word(3u) + row] != 0u;
    }
    return false;
}

// The state before the step of this row.
fn state(row: u32, j: u32) -> f32 {
    return select(states[word(5u) + row * hidden() + j], 0.0, is_reset(row));
}

fn set_state(row: u32, j: u32, value: f32) {
    states[word(5u) + (row + batch()) * hidden() + j] = value;
}

// The input projection with its bias.
fn input(row: u32, gate: u32, j: u32) -> f32 {
    let column = gate * hidden() + j;
    return gates[word(4u) + row * gates_width() + column] + bias_ih[word(1u) + column];
}

// The recurrent projection with its bias.
fn recurrent(gate: u32, j: u32, sum: f32) -> f32 {
    if (word(12u) != 0u) {
        return sum + bias_hh[word(2u) + gate * hidden() + j];
    }
    return sum;
}

// A new cell state, within the limit if there is one; NaN is kept.
fn clipped(c: f32) -> f32 {
    let limit = bitcast<f32>(word(14u));
    let within = select(select(c, -limit, c < -limit), limit, c > limit);
    return select(within, c, limit < 0.0);
}

fn set_gate(row: u32, gate: u32, j: u32, value: f32) {
    gates[word(4u) + row * gates_width() + gate * hidden() + j] = value;
}

// The state before the step and the state after it, which change places.
var<workgroup> walked: array<f32, 4096>;
const ROOM: u32 = 2048u;

// Adds four terms to the sums of a unit.
fn four_walked(term: u32, j: u32, now: u32, sums: Sums) -> Sums {
    let w0 = weights(term, j);
    let w1 = weights(term + 1u, j);
    let w2 = weights(term + 2u, j);
    let w3 = weights(term + 3u, j);
    let at = now + term;
    let near = fma(w1, Sums(walked[at + 1u]), fma(w0, Sums(walked[at]), sums));
    return fma(w3, Sums(walked[at + 3u]), fma(w2, Sums(walked[at + 2u]), near));
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
    let end = first_step() + word(11u);
    var now = 0u;
    for (var j = local; j < hidden(); j += 256u) {
        walked[j] = state(first_step() * batch() + b, j);
    }
    workgroupBarrier();
    for (var t = first_step(); t < end; t++) {
        let row = t * batch() + b;
        let reset = is_reset(row);
        var next_reset = false;
        if (t + 1u < end) {
            next_reset = is_reset(row + batch());
        }
        for (var j = local; j < hidden(); j += 256u) {
            // Sixteen terms at a time, so that many weights are under way.
            var even = Sums();
            var odd = Sums();
            var term = 0u;
            for (; term + 16u <= hidden(); term += 16u) {
                even = four_walked(term, j, now, even);
                odd = four_walked(term + 4u, j, now, odd);
                even = four_walked(term + 8u, j, now, even);
                odd = four_walked(term + 12u, j, now, odd);
            }
            for (; term + 4u <= hidden(); term += 4u) {
                even = four_walked(term, j, now, even);
            }
            for (; term < hidden(); term++) {
                even = fma(weights(term, j), Sums(walked[now + term]), even);
            }
            let after = next_state(row, j, even + odd, walked[now + j], reset);
            set_state(row, j, after);
            walked[ROOM - now + j] = select(after, 0.0, next_reset);
        }
        now = ROOM - now;
        workgroupBarrier();
    }
}

// 512 terms of the states of four rows.
var<workgroup> terms: array<vec4<f32>, 512>;
// Parts of the sums of 4 rows and 32 units: 8 of each.
var<workgroup> parts: array<Sums, 1024>;

fn state_of(b: u32, j: u32) -> f32 {
    if (b >= batch()) {
        return 0.0;
    }
    return state(first_step() * batch() + b, j);
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
    var sums0 = Sums();
    var sums1 = Sums();
    var sums2 = Sums();
    var sums3 = Sums();
    for (var start = 0u; start < hidden(); start += 512u) {
        let len = min(512u, hidden() - start);
        for (var i = local; i < len; i += 256u) {
            let at = start + i;
            terms[i] = vec4<f32>(
                state_of(first_b, at),
                state_of(first_b + 1u, at),
                state_of(first_b + 2u, at),
                state_of(first_b + 3u, at),
            );
        }
        workgroupBarrier();
        let share = (len + 7u) / 8u;
        let end = select(0u, min((part + 1u) * share, len), j < hidden());
        var i = part * share;
        for (; i + 4u <= end; i += 4u) {
            let w0 = weights(start + i, j);
            let w1 = weights(start + i + 1u, j);
            let w2 = weights(start + i + 2u, j);
            let w3 = weights(start + i + 3u, j);
            let h0 = terms[i];
            let h1 = terms[i + 1u];
            let h2 = terms[i + 2u];
            let h3 = terms[i + 3u];
            sums0 = fma(w3, Sums(h3.x), fma(w2, Sums(h2.x), fma(w1, Sums(h1.x), fma(w0, Sums(h0.x), sums0))));
            sums1 = fma(w3, Sums(h3.y), fma(w2, Sums(h2.y), fma(w1, Sums(h1.y), fma(w0, Sums(h0.y), sums1))));
            sums2 = fma(w3, Sums(h3.z), fma(w2, Sums(h2.z), fma(w1, Sums(h1.z), fma(w0, Sums(h0.z), sums2))));
            sums3 = fma(w3, Sums(h3.w), fma(w2, Sums(h2.w), fma(w1, Sums(h1.w), fma(w0, Sums(h0.w), sums3))));
        }
        for (; i < end; i++) {
            let w = weights(start + i, j);
            let h = terms[i];
            sums0 = fma(w, Sums(h.x), sums0);
            sums1 = fma(w, Sums(h.y), sums1);
            sums2 = fma(w, Sums(h.z), sums2);
            sums3 = fma(w, Sums(h.w), sums3);
        }
        workgroupBarrier();
    }
    parts[part * 128u + lane] = sums0;
    parts[part * 128u + 32u + lane] = sums1;
    parts[part * 128u + 64u + lane] = sums2;
    parts[part * 128u + 96u + lane] = sums3;
    workgroupBarrier();
    // Now an invocation is one row, which `part` numbers, and one unit.
    let b = first_b + part;
    if (part < 4u && b < batch() && j < hidden()) {
        let near = parts[local] + parts[128u + local] + (parts[256u + local] + parts[384u + local]);
        let far = parts[512u + local] + parts[640u + local] + (parts[768u + local] + parts[896u + local]);
        let row = first_step() * batch() + b;
        set_state(row, j, next_state(row, j, near + far, state(row, j), is_reset(row)));
    }
}

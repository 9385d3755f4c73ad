// The gated recurrent unit. What is carried is the part of the state's gradient that does not go through the weight.

const GATES: u32 = 3u;

fn d_recurrent(row: u32, term: u32) -> f32 {
    if (term < 2u * hidden()) {
        return gates[word(4u) + row * gates_width() + term];
    }
    return extra[word(5u) + row * hidden() + term - 2u * hidden()];
}

fn previous(row: u32, b: u32, j: u32, d_product: f32, carried: f32) -> vec4<f32> {
    let d_h = d_product + carried;
    let r = gate(row, 0u, j);
    let z = gate(row, 1u, j);
    let n = gate(row, 2u, j);
    let at = word(5u) + row * hidden() + j;
    let d_n = d_h * (1.0 - z) * (1.0 - n * n);
    let d_r = sigmoid_gradient(d_n * extra[at], r);
    let d_z = sigmoid_gradient(d_h * (state(row, j) - n), z);
    set_gate(row, 0u, j, d_r);
    set_gate(row, 1u, j, d_z);
    set_gate(row, 2u, j, d_n);
    extra[at] = d_n * r;
    carry[word(6u) + b * hidden() + j] = d_h * z;
    return vec4<f32>(d_r, d_z, d_n * r, 0.0);
}

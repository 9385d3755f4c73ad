// The LSTM with coupled input and forget gates. The states are the cell states; what is carried is their gradient.

const GATES: u32 = 3u;

fn d_recurrent(row: u32, term: u32) -> f32 {
    return gates[word(4u) + row * gates_width() + term];
}

fn previous(row: u32, b: u32, j: u32, d_h: f32, carried: f32) -> vec4<f32> {
    let f = gate(row, 0u, j);
    let g = gate(row, 1u, j);
    let o = gate(row, 2u, j);
    let c = states[word(1u) + (row + batch()) * hidden() + j];
    let tanh_c = tanh_of(c);
    let d_c = clip_gradient(c, fma(d_h * o, 1.0 - tanh_c * tanh_c, carried));
    let d_gates = vec4<f32>(
        sigmoid_gradient(d_c * (state(row, j) - g), f),
        d_c * (1.0 - f) * (1.0 - g * g),
        sigmoid_gradient(d_h * tanh_c, o),
        0.0,
    );
    set_gate(row, 0u, j, d_gates.x);
    set_gate(row, 1u, j, d_gates.y);
    set_gate(row, 2u, j, d_gates.z);
    carry[word(6u) + b * hidden() + j] = d_c * f;
    return d_gates;
}

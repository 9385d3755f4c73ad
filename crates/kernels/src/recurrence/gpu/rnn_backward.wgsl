// The simple RNN.

const GATES: u32 = 1u;

fn d_recurrent(row: u32, term: u32) -> f32 {
    return gates[word(4u) + row * gates_width() + term];
}

fn previous(row: u32, b: u32, j: u32, d_h: f32, carried: f32) -> vec4<f32> {
    let d_a = gradient(gate(row, 0u, j), d_h);
    set_gate(row, 0u, j, d_a);
    return vec4<f32>(d_a);
}

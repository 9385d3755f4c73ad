// Long short-term memory. `more` is the cell state.

alias Sums = vec4<f32>;

fn weights(term: u32, j: u32) -> Sums {
    let at = word(0u) + term * 4u * hidden() + j;
    let width = hidden();
    return vec4<f32>(packed[at], packed[at + width], packed[at + 2u * width], packed[at + 3u * width]);
}

fn next_state(row: u32, j: u32, sums: Sums, h: f32, reset: bool) -> f32 {
    let i = sigmoid_of(input(row, 0u, j) + recurrent(0u, j, sums.x));
    let f = sigmoid_of(input(row, 1u, j) + recurrent(1u, j, sums.y));
    let g = tanh_of(input(row, 2u, j) + recurrent(2u, j, sums.z));
    let o = sigmoid_of(input(row, 3u, j) + recurrent(3u, j, sums.w));
    let at = word(6u) + row * hidden() + j;
    let before = select(more[at], 0.0, reset);
    let c = clipped(fma(f, before, i * g));
    set_gate(row, 0u, j, i);
    set_gate(row, 1u, j, f);
    set_gate(row, 2u, j, g);
    set_gate(row, 3u, j, o);
    more[at + batch() * hidden()] = c;
    return o * tanh_of(c);
}

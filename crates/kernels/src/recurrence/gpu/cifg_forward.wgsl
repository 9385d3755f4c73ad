// The LSTM with coupled input and forget gates. `more` is the cell state.

alias Sums = vec3<f32>;

fn weights(term: u32, j: u32) -> Sums {
    let at = word(0u) + term * 3u * hidden() + j;
    return vec3<f32>(packed[at], packed[at + hidden()], packed[at + 2u * hidden()]);
}

fn next_state(row: u32, j: u32, sums: Sums, h: f32, reset: bool) -> f32 {
    let f = sigmoid_of(input(row, 0u, j) + recurrent(0u, j, sums.x));
    let g = tanh_of(input(row, 1u, j) + recurrent(1u, j, sums.y));
    let o = sigmoid_of(input(row, 2u, j) + recurrent(2u, j, sums.z));
    let at = word(6u) + row * hidden() + j;
    let before = select(more[at], 0.0, reset);
    let c = clipped(fma(f, before - g, g));
    set_gate(row, 0u, j, f);
    set_gate(row, 1u, j, g);
    set_gate(row, 2u, j, o);
    more[at + batch() * hidden()] = c;
    return o * tanh_of(c);
}

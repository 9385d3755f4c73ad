// The gated recurrent unit. `more` is the recurrent candidate before the reset gate.

alias Sums = vec3<f32>;

fn weights(term: u32, j: u32) -> Sums {
    let at = word(0u) + term * 3u * hidden() + j;
    return vec3<f32>(packed[at], packed[at + hidden()], packed[at + 2u * hidden()]);
}

fn next_state(row: u32, j: u32, sums: Sums, h: f32, reset: bool) -> f32 {
    let r = sigmoid_of(input(row, 0u, j) + recurrent(0u, j, sums.x));
    let z = sigmoid_of(input(row, 1u, j) + recurrent(1u, j, sums.y));
    let q = recurrent(2u, j, sums.z);
    let n = tanh_of(fma(r, q, input(row, 2u, j)));
    set_gate(row, 0u, j, r);
    set_gate(row, 1u, j, z);
    set_gate(row, 2u, j, n);
    more[word(6u) + row * hidden() + j] = q;
    return fma(z, h - n, n);
}

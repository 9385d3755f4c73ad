// The simple RNN.

alias Sums = f32;

fn weights(term: u32, j: u32) -> Sums {
    return packed[word(0u) + term * hidden() + j];
}

fn next_state(row: u32, j: u32, sums: Sums, h: f32, reset: bool) -> f32 {
    let after = activated(input(row, 0u, j) + recurrent(0u, j, sums));
    set_gate(row, 0u, j, after);
    return after;
}

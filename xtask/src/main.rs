//! Developer commands of Rondo.
fn main() {}

fn activated(a: f32) -> f32 {
    return tanh_of(a);
}

fn gradient(h: f32, d_h: f32) -> f32 {
    return d_h * (1.0 - h * h);
}

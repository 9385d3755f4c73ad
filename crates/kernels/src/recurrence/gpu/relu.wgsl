fn activated(a: f32) -> f32 {
    return select(0.0, a, a > 0.0 || is_nan(a));
}

fn gradient(h: f32, d_h: f32) -> f32 {
    return select(0.0, d_h, h > 0.0);
}

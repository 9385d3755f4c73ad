// tanh and the logistic function, which neither overflow nor lose NaN.

fn tanh_of(x: f32) -> f32 {
    let size = min(abs(x), 16.0);
    // Near zero, the quotient below would cancel.
    let square = x * x;
    let odd = fma(square, fma(square, fma(square, fma(square, 62.0 / 2835.0, -17.0 / 315.0), 2.0 / 15.0), -1.0 / 3.0), 1.0);
    let power = exp(-2.0 * size);
    let far = (1.0 - power) / (1.0 + power);
    let value = select(select(far, -far, x < 0.0), x * odd, size < 0.25);
    return select(value, x, is_nan(x));
}

fn sigmoid_of(x: f32) -> f32 {
    let power = exp(-min(abs(x), 80.0));
    let value = select(power, 1.0, x >= 0.0) / (1.0 + power);
    return select(value, x, is_nan(x));
}

fn sigmoid_gradient(gradient: f32, value: f32) -> f32 {
    return gradient * value * (1.0 - value);
}

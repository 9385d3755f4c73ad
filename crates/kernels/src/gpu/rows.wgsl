// For kernels in which a workgroup of 256 reduces the elements of a row: always in the same order.

var<workgroup> partial: array<f32, 256>;

// The sum of the values of all invocations, for each of them.
fn group_sum(local: u32, value: f32) -> f32 {
    partial[local] = value;
    for (var half = 128u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if (local < half) {
            partial[local] += partial[local + half];
        }
    }
    workgroupBarrier();
    let sum = partial[0];
    // The next reduction overwrites it.
    workgroupBarrier();
    return sum;
}

// The largest value of all invocations, for each of them; some other value if there are NaNs.
fn group_max(local: u32, value: f32) -> f32 {
    partial[local] = value;
    for (var half = 128u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if (local < half) {
            partial[local] = max(partial[local], partial[local + half]);
        }
    }
    workgroupBarrier();
    let largest = partial[0];
    workgroupBarrier();
    return largest;
}

// e^((x − shift) · factor); 0 if that is below the normal range, so that elements excluded by −∞ have no weight at all.
fn shifted_exp(x: f32, shift: f32, factor: f32) -> f32 {
    let exponent = (x - shift) * factor;
    if (is_nan(exponent)) {
        return exponent;
    }
    if (exponent < -87.0) {
        return 0.0;
    }
    return exp(exponent);
}

//! Numbers of one byte: a row of a weight is a scale and, for each element, the multiple of it that is nearest.
//!
//! ```text
//! scale = max |row| / 127          q = round(element / scale), −127 to 127          element ≈ scale · q
//! ```
//!
//! The numbers that such a weight is multiplied by, the inputs, become integers too, of 14 bits: the multiples of an
//! 8,191th of the largest in their row. So a product is a sum of integers, which is exact and the same in any order.
//!
//! Promises: an element and its multiple differ by at most half a scale (and a rounding error); a row of such multiples
//! has the same scale and the same bytes again. Not here: files, packing, multiplication.

/// The largest byte.
const LARGEST: f32 = 127.0;
/// The largest multiple that an input becomes.
const LARGEST_INPUT: f32 = 8_191.0;
/// The bits of an `f32` that a scale does not use: with 16 significant bits, its product with a byte is exact.
const UNUSED_BITS: u32 = 0xff;

/// The scale of a row: NaN if an element is not finite, 0 if all are (almost) zero.
pub fn row_scale(row: &[f32]) -> f32 {
    let mut largest = 0.0f32;
    for &element in row {
        if !element.is_finite() {
            return f32::NAN;
        }
        largest = largest.max(element.abs());
    }
    let exact = largest / LARGEST;
    // Multiples of a subnormal scale would not be exact.
    if exact < f32::MIN_POSITIVE {
        return 0.0;
    }
    f32::from_bits((exact.to_bits() + UNUSED_BITS.div_ceil(2)) & !UNUSED_BITS)
}

/// The nearest multiple of a row's scale; of two, the even one.
#[inline]
pub fn quantized(element: f32, scale: f32) -> i8 {
    if scale == 0.0 {
        return 0;
    }
    // NaN becomes 0; the scale of its row is NaN.
    (element / scale).round_ties_even().clamp(-LARGEST, LARGEST) as i8
}

/// The number that a byte stands for.
#[inline]
pub fn dequantized(byte: i8, scale: f32) -> f32 {
    f32::from(byte) * scale
}

/// The scale of a row of inputs: NaN if one is not finite, 0 if all are (almost) zero.
#[inline(always)]
pub fn input_scale(row: &[f32]) -> f32 {
    // As integers, absolute values have the same order, NaN above all.
    let bits = row.iter().fold(0, |largest: i32, x| largest.max(x.abs().to_bits().cast_signed()));
    let scale = f32::from_bits(bits.cast_unsigned()) / LARGEST_INPUT;
    if scale < f32::MIN_POSITIVE {
        0.0
    } else if scale.is_finite() {
        scale
    } else {
        f32::NAN
    }
}

/// What inputs are multiplied by to become integers: the inverse of their scale.
#[inline(always)]
pub fn input_factor(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The integer nearest to an input times its factor, −8,191 to 8,191; of two, the even one.
#[inline(always)]
pub fn rounded_input(input: f32, factor: f32) -> i32 {
    // The last bit of numbers from 2²³ to 2²⁴ is 1: a sum in that range is rounded to an integer, its lower bits.
    const SHIFT: f32 = 12_582_912.0;
    (input * factor + SHIFT).to_bits().cast_signed().wrapping_sub(SHIFT.to_bits().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of several magnitudes, the same each time.
    fn rows() -> Vec<Vec<f32>> {
        let mut state = 1u32;
        let mut next = |limit: f32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * limit
        };
        let limits = [1e-42, 1e-36, 1e-30, 1e-3, 0.1, 1.0, 3e4, 1e30];
        limits.iter().cycle().take(800).map(|&limit| (0..33).map(|_| next(limit)).collect()).collect()
    }

    #[test]
    fn an_element_is_within_half_a_scale() {
        for row in rows() {
            let scale = row_scale(&row);
            for x in row {
                let y = dequantized(quantized(x, scale), scale);
                // Scales that would be subnormal are 0.
                let tolerance = 0.501 * scale + LARGEST * f32::MIN_POSITIVE;
                assert!((x - y).abs() <= tolerance, "{x} {y} {scale}");
            }
        }
    }

    #[test]
    fn multiples_have_the_same_scale_and_bytes_again() {
        for row in rows() {
            let scale = row_scale(&row);
            let bytes = |row: &[f32]| row.iter().map(|&x| quantized(x, scale)).collect::<Vec<_>>();
            let rounded: Vec<f32> = bytes(&row).iter().map(|&q| dequantized(q, scale)).collect();
            assert_eq!(row_scale(&rounded), scale);
            assert_eq!(bytes(&rounded), bytes(&row));
        }
    }

    #[test]
    fn a_row_that_is_not_finite_is_nan() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let scale = row_scale(&[1.0, bad]);
            assert!(dequantized(quantized(1.0, scale), scale).is_nan());
        }
    }

    #[test]
    fn an_input_is_within_half_a_scale() {
        for row in rows() {
            let scale = input_scale(&row);
            let factor = input_factor(scale);
            for x in row {
                let integer = rounded_input(x, factor);
                assert!(integer.abs() <= LARGEST_INPUT as i32, "{x} {integer} {scale}");
                let tolerance = 0.501 * scale + LARGEST_INPUT * f32::MIN_POSITIVE;
                assert!((x - integer as f32 * scale).abs() <= tolerance, "{x} {integer} {scale}");
            }
        }
        assert_eq!(input_scale(&[0.0, -0.0]), 0.0);
        assert_eq!(rounded_input(0.0, input_factor(0.0)), 0);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(input_scale(&[1.0, bad]).is_nan());
        }
    }

    #[test]
    fn a_row_of_zeros_stays_one() {
        let scale = row_scale(&[0.0, -0.0]);
        assert_eq!(dequantized(quantized(0.0, scale), scale), 0.0);
    }
}

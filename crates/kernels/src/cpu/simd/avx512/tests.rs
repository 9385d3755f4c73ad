//! Products by bytes with and without VNNI.

use super::*;
use crate::cpu::tile::{Matrix, PackedMatrix};
use crate::cpu::{Cpu, InstructionSet};
use crate::{Store, int8};

#[test]
fn without_vnni_products_by_bytes_have_the_same_bits() {
    if !InstructionSet::Avx512.is_available() || !is_x86_feature_detected!("avx512vnni") {
        return eprintln!("skipped: this processor does not have AVX-512 and VNNI");
    }
    let cpu = Cpu::new(1, InstructionSet::Avx512).unwrap();
    for (m, k, n) in [(1, 1, 1), (1, 200, 800), (4, 33, 70), (30, 2_050, 129)] {
        let numbers = |len: usize| -> Vec<f32> { (0..len).map(|i| (i as f32 * 0.7).sin()).collect() };
        let (a, w) = (numbers(m * k), numbers(n * k));
        let mut packed = vec![f32::NAN; bytes::packed_len(k, n)];
        bytes::pack_all(&cpu, k, n, &w, &mut packed);
        let product_with = |instructions: unsafe fn(Product, *const f32)| {
            let mut c = vec![0.5; m * n];
            let product = Product {
                shape: (m, k, n),
                a: Matrix::rows(&a, k),
                packed: PackedMatrix::Bytes(packed.as_ptr()),
                panels: 0..n.div_ceil(64),
                c: c.as_mut_ptr(),
                c_stride: n,
                store: Store::Add,
            };
            // SAFETY: the processor has the instructions, and the matrices these shapes.
            unsafe { instructions(product, packed.as_ptr()) };
            c
        };
        let by_fours = product_with(product_by_fours);
        assert_eq!(product_with(product_by_halves), by_fours, "{m} × {k} × {n}");
        let scale = int8::row_scale(&w[..k]);
        let bytes = w[..k].iter().map(|&x| int8::dequantized(int8::quantized(x, scale), scale));
        let first = 0.5 + a.iter().zip(bytes).map(|(a, w)| a * w).sum::<f32>();
        assert!((by_fours[0] - first).abs() < 1e-4 * k as f32, "{} {first}", by_fours[0]);
    }
}

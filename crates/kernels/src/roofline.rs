//! Measures a device's peak performance (its roofline), for comparison with the speed of operations.
//!
//! Each limit is the best of a few short bursts, on all threads of the device. A machine's limits change with
//! its temperature and its other users, so they are most useful when measured together with what they are
//! compared with.
//! Not here: the speed of operations (`rondo bench`, `benches/ops`).

use std::hint::black_box;
use std::time::Instant;

use crate::cpu::elements::LINE;
use crate::cpu::tile::registers::{SIZE, TileRegisters as _};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, share};
use crate::{Device, Precision};

/// The minimum duration of a burst of multiply-adds, in seconds: long compared with the start of a parallel
/// region.
const BURST_S: f64 = 0.004;
/// The number of bursts of each kind; the best counts.
const BURSTS: usize = 3;
/// The number of elements copied: 128 MiB, several times the caches of any one processor's socket.
const COPIED: usize = 32 << 20;

/// The peak rate of `f32` multiply-adds of the device, each counted as two floating-point operations.
///
/// The operands stay in registers. The number of independent sums that keeps the units busy, and the number
/// that fits in the registers, differ between processors: several numbers are tried, and the best counts. An
/// instruction set without a fused multiply-add is measured by its multiplications and additions.
///
/// # Units
/// Floating-point operations per second; NaN for a GPU, which is not measured.
pub fn fma_peak(device: &Device) -> f64 {
    let Some(cpu) = device.as_cpu() else { return f64::NAN };
    let lanes = cpu.vectorized(Lanes);
    // As many steps of one chain as make a burst of twelve chains last long enough.
    let mut steps = 1 << 12;
    while seconds::<12>(cpu, steps) < BURST_S {
        steps *= 2;
    }
    let work = 12 * steps;
    let flop = (2 * lanes * cpu.threads()) as f64;
    let tried = [
        (24 * (work / 24), best_seconds::<24>(cpu, work / 24)),
        (work, best_seconds::<12>(cpu, steps)),
        (4 * (work / 4), best_seconds::<4>(cpu, work / 4)),
    ];
    tried.map(|(work, seconds)| flop * work as f64 / seconds).into_iter().fold(0.0, f64::max)
}

/// The peak rate of multiply-adds of matrix multiplications in the device's precision, each counted as two floating-point
/// operations. The three products of bf16x3 count as one.
///
/// The operands stay in registers, as in [`fma_peak`], which it is in `f32`.
///
/// # Units
/// Floating-point operations per second; NaN for a GPU, which is not measured.
pub fn multiplication_peak(device: &Device) -> f64 {
    let Some(cpu) = device.as_cpu() else { return f64::NAN };
    let products = match cpu.precision() {
        Precision::F32 => return fma_peak(device),
        Precision::Bf16 => 1.0,
        Precision::Bf16x3 => 3.0,
    };
    let seconds = |steps: usize| {
        let begun = Instant::now();
        cpu.parallel(|_| {
            black_box(cpu.vectorized(Products { steps }));
        });
        begun.elapsed().as_secs_f64()
    };
    let mut steps = 1 << 10;
    while seconds(steps) < BURST_S {
        steps *= 2;
    }
    let best = (0..BURSTS).map(|_| seconds(steps)).fold(f64::INFINITY, f64::min);
    let multiply_adds = cpu.vectorized(MultiplyAdds) * steps * cpu.threads();
    2.0 * multiply_adds as f64 / products / best
}

/// The rate at which the device copies memory that is not cached; reads and writes both count.
///
/// Uses 256 MiB while it runs.
///
/// # Units
/// Bytes per second; NaN for a GPU, which is not measured.
pub fn copy_bandwidth(device: &Device) -> f64 {
    let Some(cpu) = device.as_cpu() else { return f64::NAN };
    let from = vec![1.0_f32; COPIED];
    let mut to = vec![0.0_f32; COPIED];
    // The first copy also makes the system allocate the pages: it does not count.
    copy_seconds(cpu, &from, &mut to);
    let best = (0..BURSTS).map(|_| copy_seconds(cpu, &from, &mut to)).fold(f64::INFINITY, f64::min);
    black_box(&to);
    (2 * size_of_val(from.as_slice())) as f64 / best
}

fn copy_seconds(cpu: &Cpu, from: &[f32], to: &mut [f32]) -> f64 {
    let to = SharedMut::new(to);
    let begun = Instant::now();
    cpu.parallel(|thread| {
        let part = share(from.len(), LINE, cpu.threads(), thread);
        // SAFETY: the threads' parts do not overlap.
        unsafe { to.range(part.clone()) }.copy_from_slice(&from[part]);
    });
    begun.elapsed().as_secs_f64()
}

fn best_seconds<const CHAINS: usize>(cpu: &Cpu, steps: usize) -> f64 {
    (0..BURSTS).map(|_| seconds::<CHAINS>(cpu, steps)).fold(f64::INFINITY, f64::min)
}

fn seconds<const CHAINS: usize>(cpu: &Cpu, steps: usize) -> f64 {
    let begun = Instant::now();
    cpu.parallel(|_| {
        black_box(cpu.vectorized(Chains::<CHAINS> { steps }));
    });
    begun.elapsed().as_secs_f64()
}

/// The number of elements in a vector.
struct Lanes;

impl Vectorized for Lanes {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

/// Chains of multiply-adds; each step depends only on the previous one of its own chain.
struct Chains<const COUNT: usize> {
    steps: usize,
}

impl<const COUNT: usize> Vectorized for Chains<COUNT> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        // Values unknown to the compiler: otherwise it could compute the chains in advance, or merge equal
        // ones. The chains tend toward 1, so that no value becomes a slow subnormal.
        let (factor, term) = (s.splat(black_box(0.75)), s.splat(black_box(0.25)));
        let mut chains = [s.splat(0.0); COUNT];
        for (start, chain) in chains.iter_mut().enumerate() {
            *chain = s.splat(black_box(start as f32));
        }
        for _ in 0..self.steps {
            for chain in &mut chains {
                *chain = s.mul_add(*chain, factor, term);
            }
        }
        let mut sum = s.splat(0.0);
        for chain in chains {
            sum = s.add(sum, chain);
        }
        s.sum(sum)
    }
}

/// Products of pairs of bf16 in registers, four or twelve independent ones in each step.
struct Products {
    steps: usize,
}

/// Sums that keep the units of vectors of pairs busy.
const PAIR_CHAINS: usize = 12;

/// The multiply-adds of a step of [`Products`].
struct MultiplyAdds;

impl Vectorized for MultiplyAdds {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        if S::TILED { 4 * SIZE * SIZE * 2 * SIZE } else { PAIR_CHAINS * 2 * S::LANES }
    }
}

impl Vectorized for Products {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let Products { steps } = self;
        if S::TILED {
            let t = s.tile_registers();
            let (ones, mut sums) = ([1.0_f32; SIZE * SIZE], [0.0; SIZE * SIZE]);
            // SAFETY: there are tile registers, and the matrices fill them.
            unsafe {
                t.configure();
                t.zero::<0>();
                t.zero::<1>();
                t.zero::<2>();
                t.zero::<3>();
                t.load::<4>(ones.as_ptr(), SIZE);
                t.load::<5>(ones.as_ptr(), SIZE);
                t.load::<6>(ones.as_ptr(), SIZE);
                t.load::<7>(ones.as_ptr(), SIZE);
                for _ in 0..steps {
                    t.multiply::<0, 4, 6>();
                    t.multiply::<1, 4, 7>();
                    t.multiply::<2, 5, 6>();
                    t.multiply::<3, 5, 7>();
                }
                t.store::<0>(sums.as_mut_ptr(), SIZE);
                t.release();
            }
            return sums[0];
        }
        let factor = s.splat(black_box(0.5));
        let mut chains = [s.splat(black_box(0.0)); PAIR_CHAINS];
        for _ in 0..steps {
            for chain in &mut chains {
                *chain = s.multiply_accumulate(factor, factor, *chain);
            }
        }
        s.sum(chains.into_iter().fold(s.splat(0.0), |sum, chain| s.add(sum, chain)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::InstructionSet;

    #[test]
    fn every_instruction_set_has_a_peak() {
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            for threads in [1, 2] {
                let peak = fma_peak(&Device::cpu_with(threads, set).unwrap());
                assert!(peak.is_finite() && peak > 1e6, "{set}: {peak} floating-point operations per second");
            }
        }
    }

    #[test]
    fn every_precision_has_a_peak() {
        let device = Device::cpu(2).unwrap();
        for precision in Precision::ALL {
            let Ok(device) = device.clone().with_precision(precision) else { continue };
            let peak = multiplication_peak(&device);
            assert!(
                peak.is_finite() && peak > 1e6,
                "{precision}: {peak} floating-point operations per second"
            );
        }
    }

    #[test]
    fn chains_compute_what_they_say() {
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let lanes = set.run(Precision::F32, Lanes) as f32;
            let of_one = |start: f32| 0.75 * (0.75 * start + 0.25) + 0.25;
            let expected = lanes * (0..4).map(|start| of_one(start as f32)).sum::<f32>();
            let found = set.run(Precision::F32, Chains::<4> { steps: 2 });
            assert!((found - expected).abs() < 1e-3, "{set}: {found}, expected {expected}");
        }
    }

    #[test]
    fn memory_is_copied_at_some_speed() {
        let speed = copy_bandwidth(&Device::cpu(2).unwrap());
        assert!(speed.is_finite() && speed > 1e6, "{speed} bytes per second");
    }
}

//! Tile registers in memory, with the semantics of the instructions: the twin that runs everywhere.
//!
//! Intel 64 and IA-32 Architectures Software Developer's Manual, TDPBF16PS: even and odd elements are summed apart, pair after
//! pair, each step rounded once; then their sum is added to the register. Denormal numbers are read as zero and written as
//! zero.

use std::cell::RefCell;

use crate::cpu::tile::registers::{SIZE, TileRegisters};

type Register = [[f32; SIZE]; SIZE];

thread_local! {
    /// The registers of this thread; `None` before they are configured.
    static REGISTERS: RefCell<Option<[Register; 8]>> = const { RefCell::new(None) };
}

/// The registers of this thread.
#[derive(Clone, Copy)]
pub(crate) struct EmulatedTiles;

fn with<T>(work: impl FnOnce(&mut [Register; 8]) -> T) -> T {
    REGISTERS.with_borrow_mut(|registers| work(registers.as_mut().expect("the registers are configured")))
}

/// Zero instead of a denormal number.
fn normal(value: f32) -> f32 {
    if value.is_subnormal() { 0.0_f32.copysign(value) } else { value }
}

/// The two bf16 in 32 bits, the lower half first.
fn pair(bits: f32) -> [f32; 2] {
    let bits = bits.to_bits();
    [bits << 16, bits & 0xffff_0000].map(|bits| normal(f32::from_bits(bits)))
}

impl TileRegisters for EmulatedTiles {
    unsafe fn configure(self) {
        REGISTERS.set(Some([[[0.0; SIZE]; SIZE]; 8]));
    }

    unsafe fn release(self) {
        REGISTERS.set(None);
    }

    unsafe fn zero<const REGISTER: u8>(self) {
        with(|registers| registers[usize::from(REGISTER)] = [[0.0; SIZE]; SIZE]);
    }

    unsafe fn load<const REGISTER: u8>(self, from: *const f32, stride: usize) {
        with(|registers| {
            for (row, values) in registers[usize::from(REGISTER)].iter_mut().enumerate() {
                // SAFETY: the rows are readable, as the caller guarantees.
                *values = unsafe { from.add(row * stride).cast::<[f32; SIZE]>().read_unaligned() };
            }
        });
    }

    unsafe fn store<const REGISTER: u8>(self, to: *mut f32, stride: usize) {
        with(|registers| {
            for (row, values) in registers[usize::from(REGISTER)].iter().enumerate() {
                // SAFETY: the rows are writable, as the caller guarantees.
                unsafe { to.add(row * stride).cast::<[f32; SIZE]>().write_unaligned(*values) };
            }
        });
    }

    unsafe fn multiply<const SUMS: u8, const A: u8, const B: u8>(self) {
        with(|registers| {
            let (a, b) = (registers[usize::from(A)], registers[usize::from(B)]);
            for (sums, a) in registers[usize::from(SUMS)].iter_mut().zip(a) {
                for (column, sum) in sums.iter_mut().enumerate() {
                    let mut halves = [0.0_f32; 2];
                    for (a, b) in a.into_iter().zip(&b) {
                        let (a, b) = (pair(a), pair(b[column]));
                        halves = [0, 1].map(|half| normal(a[half].mul_add(b[half], halves[half])));
                    }
                    *sum = normal(normal(*sum) + normal(halves[0] + halves[1]));
                }
            }
        });
    }
}

//! AMX: tile registers that multiply bf16, and how to get them.
//!
//! The compiler has no stable functions for these instructions, so they are inline assembly; it uses the registers for
//! nothing else. Linux saves them only for processes that have asked for permission.

use std::arch::asm;
use std::arch::x86_64::_xgetbv;
use std::sync::OnceLock;

use super::cpuid;
use crate::cpu::tile::registers::{SIZE, TileRegisters};

/// Whether the processor has AMX with bf16, and the operating system lets this process use it.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| (has_instructions() || is_emulated()) && has_permission())
}

/// Whether the emulator of `.ci/amx` executes the instructions in these tests.
fn is_emulated() -> bool {
    cfg!(test) && std::env::var_os("RONDO_TEST_EMULATED_AMX").is_some()
}

fn has_instructions() -> bool {
    const BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    const OS_SAVES_REGISTERS: u32 = 1 << 27;
    const TILE_STATE: u64 = 1 << 17 | 1 << 18;
    if cfg!(miri) || cpuid(0).eax < 7 || cpuid(7).edx & BF16_AND_TILE != BF16_AND_TILE {
        return false;
    }
    if cpuid(1).ecx & OS_SAVES_REGISTERS == 0 {
        return false;
    }
    // SAFETY: the bit above says that the instruction is there.
    let saved = unsafe { xcr0() };
    saved & TILE_STATE == TILE_STATE
}

/// What the operating system saves of each thread.
///
/// # Safety
/// The operating system must have enabled XSAVE.
#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u64 {
    // SAFETY: guaranteed by the caller.
    unsafe { _xgetbv(0) }
}

/// Asks Linux for the permission to use the registers, in all threads of this process.
#[cfg(target_os = "linux")]
fn has_permission() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: this system call takes numbers only.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Other systems are not known to give it.
#[cfg(not(target_os = "linux"))]
fn has_permission() -> bool {
    false
}

/// The registers of this thread. A value of the type proves that there are some.
#[derive(Clone, Copy)]
pub(crate) struct Amx(());

impl Amx {
    /// # Safety
    /// [`is_available`] must hold.
    #[inline(always)]
    pub(super) unsafe fn new() -> Amx {
        Amx(())
    }
}

/// The sizes of all registers, as LDTILECFG reads them.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static FULL_SIZE: Configuration = {
    let (bytes, rows) = (4 * SIZE as u16, SIZE as u8);
    Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        bytes_per_row: [bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [rows, rows, rows, rows, rows, rows, rows, rows, 0, 0, 0, 0, 0, 0, 0, 0],
    }
};

impl TileRegisters for Amx {
    #[inline(always)]
    unsafe fn configure(self) {
        // SAFETY: the instruction is there, and reads the 64 bytes of the configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const FULL_SIZE, options(nostack, readonly)) };
    }

    #[inline(always)]
    unsafe fn release(self) {
        // SAFETY: the instruction is there, and changes tile registers only.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }

    #[inline(always)]
    unsafe fn zero<const REGISTER: u8>(self) {
        // SAFETY: the registers are configured, as the caller guarantees.
        unsafe { asm!("tilezero tmm{}", const REGISTER, options(nostack, nomem)) };
    }

    #[inline(always)]
    unsafe fn load<const REGISTER: u8>(self, from: *const f32, stride: usize) {
        // SAFETY: as above; the rows are readable.
        unsafe {
            asm!("tileloadd tmm{}, [{} + {} * 1]", const REGISTER, in(reg) from, in(reg) 4 * stride,
                options(nostack, readonly))
        };
    }

    #[inline(always)]
    unsafe fn store<const REGISTER: u8>(self, to: *mut f32, stride: usize) {
        // SAFETY: as above; the rows are writable.
        unsafe {
            asm!("tilestored [{} + {} * 1], tmm{}", in(reg) to, in(reg) 4 * stride, const REGISTER,
                options(nostack))
        };
    }

    #[inline(always)]
    unsafe fn multiply<const SUMS: u8, const A: u8, const B: u8>(self) {
        // SAFETY: the registers are configured, as the caller guarantees.
        unsafe {
            asm!("tdpbf16ps tmm{}, tmm{}, tmm{}", const SUMS, const A, const B, options(nostack, nomem))
        };
    }
}

//! GPUs of any vendor, through `wgpu`: Vulkan, Metal and DX12.
//!
//! ```text
//! operation ── Kernel, slices, numbers ──▶ recorder ── one submission ──▶ the GPU
//!                                             ▲                              │
//! values from the host ── recorded, too ──────┘       read: submits, waits ──┘
//! ```
//!
//! An operation only records: nothing runs until values are read, or the recording is full. Kernels are WGSL, next to the
//! operation that they belong to; `prelude.wgsl` comes before each of them. A failure (validation, memory, a lost device)
//! is kept, and the next read returns it with the name of the operation.
//!
//! Promises: the same device, driver and numbers give the same bits; sums have a fixed order. Sums over thousands of terms
//! are split, since there is no `f64`.

pub(crate) mod columns;
mod context;
mod kernel;
mod memory;
pub(crate) mod product;
mod recorder;

pub use context::{Counts, Gpu, GpuInfo};
pub(crate) use kernel::{Kernel, View, groups, is_add};
pub(crate) use memory::GpuMemory;

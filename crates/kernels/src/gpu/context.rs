//! A GPU: finding and opening it, and what operations ask of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::kernel::{Kernel, MAX_WORDS, View};
use super::recorder::Recorder;
use crate::DeviceError;

/// The bytes of the room for partial sums.
const PARTIAL_BYTES: usize = 16 << 10;

/// A GPU. Cheap to clone: clones share the device and the recording.
#[derive(Clone)]
pub struct Gpu(Arc<Context>);

/// What is known about a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// Its number: `gpu:N`.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The interface: Vulkan, Metal or DX12.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether it is a GPU or software that acts as one.
    pub is_software: bool,
    /// The largest buffer, in bytes.
    pub max_buffer: u64,
}

/// How much a GPU has been asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kernels that were recorded.
    pub dispatches: u64,
    /// Recordings that were submitted.
    pub submissions: u64,
    /// Waits for values.
    pub read_backs: u64,
}

struct Context {
    info: GpuInfo,
    device: wgpu::Device,
    queue: wgpu::Queue,
    recorder: Mutex<Recorder>,
    /// The first failure.
    failure: Arc<Mutex<Option<Failure>>>,
    /// Numbers for buffers.
    next_id: AtomicU64,
    /// The buffers of bindings that a call does not use: one to read, one to write.
    unused: [wgpu::Buffer; 2],
    /// Room for partial sums.
    partial: wgpu::Buffer,
    /// Held by the operation that uses it.
    partial_user: Mutex<()>,
}

/// What failed.
#[derive(Clone, Debug)]
struct Failure {
    message: String,
    out_of_memory: bool,
}

fn instance() -> wgpu::Instance {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let descriptor =
        wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    wgpu::Instance::new(descriptor)
}

/// The adapters, hardware first.
fn adapters() -> Vec<wgpu::Adapter> {
    let mut adapters = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()));
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

fn info(index: usize, adapter: &wgpu::Adapter) -> GpuInfo {
    let info = adapter.get_info();
    let driver = format!("{} {}", info.driver, info.driver_info);
    let limits = adapter.limits();
    GpuInfo {
        index,
        name: info.name,
        backend: info.backend.to_string(),
        driver: driver.trim().to_owned(),
        is_software: info.device_type == wgpu::DeviceType::Cpu,
        max_buffer: limits.max_buffer_size.min(limits.max_storage_buffer_binding_size),
    }
}

impl Gpu {
    /// The GPUs of this machine, hardware before software.
    pub fn list() -> Vec<GpuInfo> {
        adapters().iter().enumerate().map(|(index, adapter)| info(index, adapter)).collect()
    }

    /// Opens the GPU with this number in the [list](Gpu::list).
    pub(crate) fn open(index: usize) -> Result<Gpu, DeviceError> {
        let adapters = adapters();
        let found = adapters.len();
        let adapter = adapters.into_iter().nth(index).ok_or(DeviceError::NoGpu { index, found })?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("rondo"),
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|error| DeviceError::Gpu {
            operation: "opening the device",
            message: error.to_string(),
        })?;
        let failure: Arc<Mutex<Option<Failure>>> = Arc::default();
        let failed = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let out_of_memory = matches!(error, wgpu::Error::OutOfMemory { .. });
            keep(&failed, Failure { message: error.to_string(), out_of_memory });
        }));
        let failed = Arc::clone(&failure);
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                let message = format!("the device was lost: {message}");
                keep(&failed, Failure { message, out_of_memory: false });
            }
        });
        let buffer = |bytes: usize, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("rondo"),
                size: bytes as u64,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let unused = [(), ()].map(|()| buffer(16, wgpu::BufferUsages::STORAGE));
        let partial = buffer(PARTIAL_BYTES, wgpu::BufferUsages::STORAGE);
        let recorder = Recorder::new(&device);
        Ok(Gpu(Arc::new(Context {
            info: info(index, &adapter),
            device,
            queue,
            recorder: Mutex::new(recorder),
            failure,
            next_id: AtomicU64::new(3),
            unused,
            partial,
            partial_user: Mutex::new(()),
        })))
    }

    /// What is known about it.
    pub fn info(&self) -> &GpuInfo {
        &self.0.info
    }

    /// How much it has been asked for since it was opened.
    pub fn counts(&self) -> Counts {
        self.recorder().counts
    }

    /// Starts what has been recorded, without waiting for it.
    pub fn submit(&self) {
        self.recorder().submit(&self.0.queue);
    }

    /// Records a kernel: inputs, then outputs; the numbers that it finds after their offsets; and how many workgroups run.
    ///
    /// # Panics
    /// If the number of bindings is not the kernel's, or there are too many numbers.
    pub(crate) fn run(&self, kernel: &Kernel, bindings: &[View<'_>], numbers: &[u32], groups: [u32; 3]) {
        assert_eq!(bindings.len(), kernel.inputs + kernel.outputs, "bindings of {}", kernel.name);
        assert!(bindings.len() + numbers.len() <= MAX_WORDS, "numbers of {}", kernel.name);
        if self.has_failed() || groups.contains(&0) {
            return;
        }
        self.recorder().dispatch(self.parts(), kernel, bindings, numbers, groups);
    }

    /// What is bound to read where a call has no such input.
    pub(crate) fn no_input(&self) -> View<'_> {
        View { buffer: &self.0.unused[0], id: 0, offset: 0 }
    }

    /// What is bound to write where a call has no such output.
    pub(crate) fn no_output(&self) -> View<'_> {
        View { buffer: &self.0.unused[1], id: 1, offset: 0 }
    }

    /// Lends room for 4,096 partial sums to an operation of several kernels, while it records them.
    pub(crate) fn with_partial(&self, record: impl FnOnce(View<'_>)) {
        let _user = self.0.partial_user.lock().unwrap_or_else(PoisonError::into_inner);
        record(View { buffer: &self.0.partial, id: 2, offset: 0 });
    }

    /// A buffer of zeros, and its number.
    pub(super) fn allocate(&self, bytes: usize) -> (wgpu::Buffer, u64) {
        let size = (bytes as u64).max(16).next_multiple_of(16);
        let largest = self.0.info.max_buffer;
        if size > largest {
            let message =
                format!("a buffer of {size} bytes is larger than the {largest} that this device allows");
            keep(&self.0.failure, Failure { message, out_of_memory: true });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let size = if size > largest { 16 } else { size };
        let descriptor =
            wgpu::BufferDescriptor { label: Some("rondo"), size, usage, mapped_at_creation: false };
        (self.0.device.create_buffer(&descriptor), self.0.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Forgets a buffer that no longer exists.
    pub(super) fn forget(&self, id: u64) {
        self.recorder().forget(id);
    }

    /// Records that values are written to a buffer.
    pub(super) fn upload(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() || self.has_failed() {
            return;
        }
        self.recorder().upload(self.parts(), buffer, offset, bytes);
    }

    /// Records a copy between buffers.
    pub(super) fn copy(&self, from: (&wgpu::Buffer, u64), to: (&wgpu::Buffer, u64), bytes: u64) {
        if bytes == 0 || self.has_failed() {
            return;
        }
        let recorder = &mut *self.recorder();
        let encoder = recorder.encoder(&self.0.device);
        encoder.copy_buffer_to_buffer(from.0, from.1, to.0, to.1, bytes);
    }

    /// Submits the recording, waits for it, and copies bytes of a buffer.
    pub(super) fn read(&self, buffer: &wgpu::Buffer, offset: u64, to: &mut [u8]) -> Result<(), DeviceError> {
        self.check()?;
        if to.is_empty() {
            return Ok(());
        }
        let staging = {
            let recorder = &mut *self.recorder();
            let staging = self.0.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("rondo"),
                size: to.len() as u64,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let encoder = recorder.encoder(&self.0.device);
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, to.len() as u64);
            recorder.submit(&self.0.queue);
            recorder.counts.read_backs += 1;
            staging
        };
        let (sender, receiver) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
        let failed = |message: String| DeviceError::Gpu { operation: "reading values", message };
        let mapped = loop {
            let polled = self.0.device.poll(wgpu::PollType::wait_indefinitely());
            self.check()?;
            polled.map_err(|error| failed(error.to_string()))?;
            // Another thread that waits may be about to call back.
            match receiver.recv_timeout(Duration::from_millis(1)) {
                Ok(mapped) => break mapped,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failed("the device did not answer".to_owned()));
                }
            }
        };
        mapped.map_err(|error| failed(error.to_string()))?;
        let mapped = staging.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
        to.copy_from_slice(&mapped);
        Ok(())
    }

    /// Returns the first failure, if there has been one.
    pub(crate) fn check(&self) -> Result<(), DeviceError> {
        let failure = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(Failure { message, out_of_memory }) = failure else { return Ok(()) };
        let operation = self.recorder().operation;
        Err(if out_of_memory {
            DeviceError::GpuMemory { operation, message }
        } else {
            DeviceError::Gpu { operation, message }
        })
    }

    fn has_failed(&self) -> bool {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn parts(&self) -> (&wgpu::Device, &wgpu::Queue) {
        (&self.0.device, &self.0.queue)
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.0.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the first failure.
fn keep(kept: &Mutex<Option<Failure>>, failure: Failure) {
    kept.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.0.info).finish()
    }
}

impl fmt::Display for GpuInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.name, self.backend, self.driver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Buffer, Device};

    /// The GPU of this machine, if it has one; where `RONDO_TEST_GPU` is set, it must have one.
    fn gpu() -> Option<Device> {
        match Device::gpu(0) {
            Ok(device) => Some(device),
            Err(error) if std::env::var_os("RONDO_TEST_GPU").is_some() => panic!("{error}"),
            Err(error) => {
                eprintln!("skipped on a GPU: {error}");
                None
            }
        }
    }

    #[test]
    fn a_kernel_that_is_refused_is_named_by_the_next_read() {
        let Some(device) = gpu() else { return };
        let Device::Gpu(gpu) = &device else { panic!("not a GPU") };
        let buffer: Buffer = Buffer::zeros(&device, 4);
        assert_eq!(*buffer.read().unwrap(), [0.0; 4]);
        let broken = Kernel { name: "broken", source: "no program", entry: "main", inputs: 1, outputs: 0 };
        gpu.run(&broken, &[buffer.slice().gpu()], &[], [1, 1, 1]);
        let error = buffer.read().unwrap_err();
        assert!(matches!(error, DeviceError::Gpu { operation: "broken", .. }), "{error}");
        // Nothing is computed any more, and each read says why.
        gpu.run(&broken, &[buffer.slice().gpu()], &[], [1, 1, 1]);
        assert!(Buffer::<f32>::zeros(&device, 4).read().is_err());
    }

    #[test]
    fn a_buffer_that_is_too_large_is_an_error_and_not_a_panic() {
        let Some(device) = gpu() else { return };
        let Device::Gpu(gpu) = &device else { panic!("not a GPU") };
        let elements = gpu.info().max_buffer as usize / 4 + 1;
        let mut large: Buffer = Buffer::zeros(&device, elements);
        let error = large.range_mut(0..1).write_from(&[1.0]).unwrap_err();
        assert!(matches!(error, DeviceError::GpuMemory { .. }), "{error}");
        assert!(error.to_string().contains("larger than"), "{error}");
    }

    #[test]
    fn values_from_the_host_arrive_in_order() {
        let Some(device) = gpu() else { return };
        let mut buffer: Buffer = Buffer::zeros(&device, 3);
        let mut copy: Buffer = Buffer::zeros(&device, 3);
        buffer.write_from(&[1.0, 2.0, 3.0]).unwrap();
        copy.slice_mut().copy_from(buffer.slice());
        // What has been recorded sees the old values.
        buffer.range_mut(1..3).write_from(&[8.0, 9.0]).unwrap();
        buffer.copy_within(1..3, 0);
        buffer.range_mut(2..3).fill(7.0);
        assert_eq!(
            (copy.read().unwrap(), buffer.read().unwrap()),
            ([1.0, 2.0, 3.0][..].into(), [8.0, 9.0, 7.0][..].into())
        );
        // More than a recording has room for.
        let many: Vec<f32> = (0..2_000_000).map(|i| i as f32).collect();
        let mut large: Buffer = Buffer::zeros(&device, many.len());
        large.write_from(&many).unwrap();
        for at in 0..5_000 {
            large.range_mut(at..at + 1).write_from(&[-1.0]).unwrap();
        }
        let read = large.read().unwrap();
        assert!(read[..5_000].iter().all(|&value| value == -1.0) && read[5_000..] == many[5_000..]);
    }
}

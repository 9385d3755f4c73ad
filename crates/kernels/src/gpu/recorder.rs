//! The recording in progress: kernels and copies that the GPU has not been given yet.
//!
//! The numbers of all kernels of a recording are in one buffer, and so are the values from the host: both are written
//! right before the recording is submitted, when everything submitted before is ahead of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::context::Counts;
use super::kernel::{Kernel, MAX_WORDS, View};

const PRELUDE: &str = include_str!("prelude.wgsl");

/// The bytes of the numbers of one dispatch: the alignment that every device accepts.
const WORDS_BYTES: usize = MAX_WORDS * size_of::<u32>();

/// The most dispatches of one submission.
const MAX_DISPATCHES: usize = 4_096;

/// The room for values from the host in one submission; more is written at once.
const UPLOAD_BYTES: usize = 4 << 20;

/// The recording in progress, and what is kept from one to the next.
#[derive(Debug)]
pub(super) struct Recorder {
    encoder: Option<wgpu::CommandEncoder>,
    pass: Option<wgpu::ComputePass<'static>>,
    /// The numbers of the dispatches of this recording.
    words: Vec<u32>,
    words_buffer: wgpu::Buffer,
    /// The values from the host of this recording.
    uploads: Vec<u8>,
    uploads_buffer: wgpu::Buffer,
    pipelines: HashMap<(&'static str, &'static str), Arc<Pipeline>>,
    bind_groups: HashMap<(&'static str, &'static str, Vec<u64>), wgpu::BindGroup>,
    /// Buffers that no longer exist.
    dropped: Vec<u64>,
    pub(super) counts: Counts,
    /// The operation recorded last.
    pub(super) operation: &'static str,
}

/// A compiled kernel.
#[derive(Debug)]
struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Recorder {
    pub(super) fn new(device: &wgpu::Device) -> Recorder {
        let buffer = |bytes: usize, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("rondo"),
                size: bytes as u64,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        Recorder {
            encoder: None,
            pass: None,
            words: Vec::new(),
            words_buffer: buffer(MAX_DISPATCHES * WORDS_BYTES, wgpu::BufferUsages::UNIFORM),
            uploads: Vec::new(),
            uploads_buffer: buffer(UPLOAD_BYTES, wgpu::BufferUsages::COPY_SRC),
            pipelines: HashMap::new(),
            bind_groups: HashMap::new(),
            dropped: Vec::new(),
            counts: Counts::default(),
            operation: "",
        }
    }

    /// Records a kernel; see [`Gpu::run`](super::Gpu::run).
    pub(super) fn dispatch(
        &mut self,
        (device, queue): (&wgpu::Device, &wgpu::Queue),
        kernel: &Kernel,
        bindings: &[View<'_>],
        numbers: &[u32],
        groups: [u32; 3],
    ) {
        self.operation = kernel.name;
        if self.words.len() == MAX_DISPATCHES * MAX_WORDS {
            self.submit(queue);
        }
        let pipeline = self.pipeline(device, kernel);
        let bind_group = self.bind_group(device, kernel, &pipeline, bindings);
        let start = self.words.len();
        self.words.extend(bindings.iter().map(|view| view.offset as u32));
        self.words.extend(numbers);
        self.words.resize(start + MAX_WORDS, 0);
        let pass = self.pass(device);
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bind_group, &[(start * size_of::<u32>()) as u32]);
        pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
        self.counts.dispatches += 1;
    }

    /// Records that values of the host are written to a buffer.
    pub(super) fn upload(
        &mut self,
        (device, queue): (&wgpu::Device, &wgpu::Queue),
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: &[u8],
    ) {
        if bytes.len() > UPLOAD_BYTES / 4 {
            // What has been recorded may read the old values.
            self.submit(queue);
            return queue.write_buffer(buffer, offset, bytes);
        }
        if self.uploads.len() + bytes.len() > UPLOAD_BYTES {
            self.submit(queue);
        }
        let start = self.uploads.len() as u64;
        self.uploads.extend(bytes);
        let from = self.uploads_buffer.clone();
        self.encoder(device).copy_buffer_to_buffer(&from, start, buffer, offset, bytes.len() as u64);
    }

    /// Forgets a buffer that no longer exists.
    pub(super) fn forget(&mut self, id: u64) {
        self.dropped.push(id);
    }

    /// Where copies between buffers are recorded.
    pub(super) fn encoder(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        // A pass ends when it is dropped.
        self.pass = None;
        self.encoder
            .get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
    }

    fn pass(&mut self, device: &wgpu::Device) -> &mut wgpu::ComputePass<'static> {
        if self.pass.is_none() {
            let pass = self.encoder(device).begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.pass = Some(pass.forget_lifetime());
        }
        self.pass.as_mut().expect("a pass has begun")
    }

    /// Gives the recording to the GPU.
    pub(super) fn submit(&mut self, queue: &wgpu::Queue) {
        self.pass = None;
        if let Some(encoder) = self.encoder.take() {
            if !self.words.is_empty() {
                queue.write_buffer(&self.words_buffer, 0, bytemuck::cast_slice(&self.words));
            }
            if !self.uploads.is_empty() {
                queue.write_buffer(&self.uploads_buffer, 0, &self.uploads);
            }
            queue.submit([encoder.finish()]);
            self.counts.submissions += 1;
        }
        self.words.clear();
        self.uploads.clear();
        if !self.dropped.is_empty() {
            let dropped = std::mem::take(&mut self.dropped);
            self.bind_groups.retain(|(_, _, buffers), _| !buffers.iter().any(|id| dropped.contains(id)));
        }
    }

    fn pipeline(&mut self, device: &wgpu::Device, kernel: &Kernel) -> Arc<Pipeline> {
        let key = (kernel.name, kernel.entry);
        let pipeline = self.pipelines.entry(key).or_insert_with(|| Arc::new(Pipeline::new(device, kernel)));
        Arc::clone(pipeline)
    }

    fn bind_group(
        &mut self,
        device: &wgpu::Device,
        kernel: &Kernel,
        pipeline: &Pipeline,
        bindings: &[View<'_>],
    ) -> wgpu::BindGroup {
        let key = (kernel.name, kernel.entry, bindings.iter().map(|view| view.id).collect());
        if let Some(known) = self.bind_groups.get(&key) {
            return known.clone();
        }
        let words = wgpu::BufferBinding {
            buffer: &self.words_buffer,
            offset: 0,
            size: wgpu::BufferSize::new(WORDS_BYTES as u64),
        };
        let words = wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(words) };
        let buffers = bindings.iter().zip(1..).map(|(view, binding)| wgpu::BindGroupEntry {
            binding,
            resource: view.buffer.as_entire_binding(),
        });
        let entries: Vec<_> = std::iter::once(words).chain(buffers).collect();
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        self.bind_groups.insert(key, bind_group.clone());
        bind_group
    }
}

impl Pipeline {
    fn new(device: &wgpu::Device, kernel: &Kernel) -> Pipeline {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(kernel.name),
            source: wgpu::ShaderSource::Wgsl(format!("{PRELUDE}\n{}", kernel.source).into()),
        });
        let entry = |binding: usize, ty| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: binding == 0, min_binding_size: None },
            count: None,
        };
        let storage = |binding: usize| {
            entry(binding, wgpu::BufferBindingType::Storage { read_only: binding <= kernel.inputs })
        };
        let words = entry(0, wgpu::BufferBindingType::Uniform);
        let entries: Vec<_> =
            std::iter::once(words).chain((1..=kernel.inputs + kernel.outputs).map(storage)).collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(kernel.name),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(kernel.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        });
        Pipeline { pipeline, layout }
    }
}

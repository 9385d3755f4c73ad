//! What the tests of operations share: gradients by differences, random inputs, devices, and tolerances.

use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Buffer, Device, Element, Precision, Store, int8};
use safetensors::{Dtype, SafeTensors};

/// How far a kernel in `f32` may lie from the reference in `f64`, relative to `1 + |expected|`.
///
/// Inputs are of the order of one. The unit of rounding of `f32` is 6e-8.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tolerance {
    /// Nothing is computed, only moved, or each result is rounded once: bit for bit.
    Exact,
    /// A handful of additions and products per element, each rounded, or fused on one path and not on the other.
    Elementwise,
    /// Exponential, tanh and sigmoid: polynomials that are good to a few units in the last place.
    Function,
    /// Sums of hundreds of terms, whose order (and so rounding) depends on the width of the vectors.
    Sum,
    /// Sums of sums: products chained over layers or time steps.
    Chain,
    /// The same with factors rounded to bf16, whose unit of rounding is 4e-3. It is the error's norm that is held to it,
    /// relative to the norm of all numbers.
    Rounded,
    /// The same with factors in two parts, whose unit of rounding is 2e-5, or with inputs of 14 bits, where it is 6e-5.
    Split,
    /// As `Rounded`, behind a rectifier: where its input is about zero, rounding decides on which side it is, and one unit of
    /// some hundred that is on another side changes the norm by several percent.
    Rectified,
}

impl Tolerance {
    fn relative(self) -> f64 {
        match self {
            Tolerance::Exact => 0.0,
            Tolerance::Elementwise => 5e-7,
            Tolerance::Function => 2e-6,
            Tolerance::Sum => 3e-5,
            Tolerance::Chain => 1e-4,
            Tolerance::Rounded => 5e-2,
            Tolerance::Split => 2e-4,
            Tolerance::Rectified => 0.2,
        }
    }

    /// The tolerance on a device that may round what products make of other products' results.
    pub(crate) fn on(self, device: &Device) -> Tolerance {
        match device.precision() {
            Precision::F32 => self,
            Precision::Bf16x3 => Tolerance::Split,
            Precision::Bf16 => Tolerance::Rounded,
        }
    }
}

/// Fails unless each number of `got` is within the tolerance of its partner in `want`.
#[track_caller]
pub(crate) fn assert_close<T: Into<f64> + Copy>(name: &str, got: &[f32], want: &[T], tolerance: Tolerance) {
    assert_eq!(got.len(), want.len(), "{name}: length");
    if matches!(tolerance, Tolerance::Rounded | Tolerance::Split | Tolerance::Rectified) {
        let want: Vec<f64> = want.iter().map(|&want| want.into()).collect();
        let errors: Vec<f64> = got.iter().zip(&want).map(|(&got, want)| f64::from(got) - want).collect();
        let (error, norm) = (dot(&errors, &errors).sqrt(), dot(&want, &want).sqrt());
        assert!(error <= tolerance.relative() * norm.max(1e-3), "{name}: error {error:.2e}, norm {norm:.2e}");
        return;
    }
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (got, want) = (f64::from(got), want.into());
        let error = (got - want).abs() / (1.0 + want.abs());
        assert!(
            error <= tolerance.relative(),
            "{name}[{i}]: {got:.9} instead of {want:.9}, error {error:.2e}"
        );
    }
}

/// Fails unless `analytic` is the gradient of `loss` at `x`, by central differences.
#[track_caller]
pub(crate) fn assert_gradient(name: &str, x: &[f64], analytic: &[f64], loss: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5; // Balances truncation (STEP²) against rounding (ε / STEP); a right answer is within 1e-10.
    assert_eq!(x.len(), analytic.len(), "{name}: gradient length");
    for i in 0..x.len() {
        let at = |delta: f64| {
            let mut probe = x.to_vec();
            probe[i] += delta;
            loss(&probe)
        };
        let numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        let error = (analytic[i] - numeric).abs() / (1.0 + numeric.abs());
        assert!(error < 1e-8, "{name}[{i}]: analytic {:.9}, numeric {numeric:.9}", analytic[i]);
    }
}

/// `len` numbers, uniform in [-1, 1) and the same for the same seed; each is exact in `f32` too, so that kernel and
/// reference start from the same inputs.
pub(crate) fn random(len: usize, seed: u64) -> Vec<f64> {
    random_bits(len, seed).map(|bits| (bits >> 40) as f64 / (1u64 << 23) as f64 - 1.0).collect()
}

/// As [`random`], and exact in bf16: a single product of such numbers is as exact in any precision.
pub(crate) fn random_short(len: usize, seed: u64) -> Vec<f64> {
    random_bits(len, seed).map(|bits| (bits >> 56) as f64 / (1u64 << 7) as f64 - 1.0).collect()
}

/// The numbers that a matrix with rows of this width stands for when its elements are bytes.
pub(crate) fn as_bytes(matrix: &[f64], width: usize) -> Vec<f64> {
    let rounded = |row: &[f64]| -> Vec<f64> {
        let row: Vec<f32> = row.iter().map(|&x| x as f32).collect();
        let scale = int8::row_scale(&row);
        row.iter().map(|&x| int8::dequantized(int8::quantized(x, scale), scale).into()).collect()
    };
    matrix.chunks(width).flat_map(rounded).collect()
}

/// The integers times their scale that rows of inputs become when they are multiplied by bytes, up to 2,048 at a time.
pub(crate) fn as_integers(inputs: &[f64], width: usize) -> Vec<f64> {
    let rounded = |part: &[f64]| -> Vec<f64> {
        let part: Vec<f32> = part.iter().map(|&x| x as f32).collect();
        let scale = int8::input_scale(&part);
        let factor = int8::input_factor(scale);
        part.iter().map(|&x| f64::from(int8::rounded_input(x, factor)) * f64::from(scale)).collect()
    };
    inputs.chunks(width).flat_map(|row| row.chunks(2_048).flat_map(rounded)).collect()
}

/// `len` ids below `bound`, the same for the same seed.
pub(crate) fn random_ids(len: usize, bound: usize, seed: u64) -> Vec<u32> {
    random_bits(len, seed).map(|bits| ((bits >> 33) % bound as u64) as u32).collect()
}

/// SplitMix64 (Steele, Lea & Flood 2014): eight lines, and no stream of numbers that changes with a dependency.
fn random_bits(len: usize, seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    (0..len).map(move |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// The sum of the products: a loss in which every output counts.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths of a dot product");
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Every instruction set this machine has, with one, two and three threads, and its GPU.
pub(crate) fn devices() -> Vec<Device> {
    #[cfg(feature = "gpu")]
    let gpu = gpu();
    #[cfg(not(feature = "gpu"))]
    let gpu = None;
    cpus().into_iter().chain(gpu).collect()
}

/// Every instruction set this machine has, with one, two and three threads.
pub(crate) fn cpus() -> Vec<Device> {
    let sets = InstructionSet::ALL.into_iter().filter(|set| set.is_available());
    sets.flat_map(|set| (1..=3).map(move |threads| Device::cpu_with(threads, set).unwrap())).collect()
}

/// The GPU of this machine, if it has one; where `RONDO_TEST_GPU` is set, it must have one.
#[cfg(feature = "gpu")]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub(crate) fn gpu() -> Option<Device> {
    static GPU: std::sync::LazyLock<Option<Device>> = std::sync::LazyLock::new(|| match Device::gpu(0) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("RONDO_TEST_GPU").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped on a GPU: {error}");
            None
        }
    });
    GPU.clone()
}

/// The same in every precision of matrix products that they have; where `RONDO_TEST_BF16` is set, they must have bf16.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub(crate) fn product_devices() -> Vec<Device> {
    let in_all = |device: Device| Precision::ALL.map(|precision| device.clone().with_precision(precision));
    let devices: Vec<Device> = devices().into_iter().flat_map(in_all).flatten().collect();
    if devices.iter().all(|device| device.precision() == Precision::F32) {
        assert!(std::env::var_os("RONDO_TEST_BF16").is_none(), "this processor does not support bf16");
        eprintln!("skipped: this processor does not support bf16");
    }
    devices
}

/// Whether a case with this many multiplications is tested: where `RONDO_TEST_EMULATED` is set, the largest are left out,
/// which take minutes there.
pub(crate) fn is_affordable(multiplications: usize) -> bool {
    multiplications < 10_000_000 || std::env::var_os("RONDO_TEST_EMULATED").is_none()
}

/// A buffer with these values.
pub(crate) fn filled<T: Element>(device: &Device, values: &[T]) -> Buffer<T> {
    Buffer::from_slice(device, values).unwrap()
}

/// The values of a buffer.
pub(crate) fn read<T: Element>(buffer: &Buffer<T>) -> Vec<T> {
    buffer.read().unwrap().into_owned()
}

/// Changes one value of a buffer.
pub(crate) fn set(buffer: &mut Buffer, at: usize, value: f32) {
    buffer.range_mut(at..at + 1).write_from(&[value]).unwrap();
}

/// A buffer with these numbers, rounded to `f32`.
pub(crate) fn buffer(device: &Device, values: &[f64]) -> Buffer {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    filled(device, &values)
}

/// A buffer of ones, to see what is added to it and what is overwritten.
pub(crate) fn ones(device: &Device, len: usize) -> Buffer {
    filled(device, &vec![1.0; len])
}

/// Both ways of storing a result, each with what a buffer of ones then holds.
pub(crate) fn stores(result: &[f64]) -> [(Store, Vec<f64>); 2] {
    [(Store::Overwrite, result.to_vec()), (Store::Add, result.iter().map(|value| value + 1.0).collect())]
}

/// A file of golden outputs; its README tells what is in it.
pub(crate) struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    /// The golden file `torch_{name}.safetensors`.
    pub(crate) fn open(name: &str) -> Golden {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden");
        Golden { bytes: std::fs::read(format!("{folder}/torch_{name}.safetensors")).unwrap() }
    }

    /// The numbers of a tensor in `f32`.
    pub(crate) fn floats(&self, tensor: &str) -> Vec<f32> {
        self.words(tensor, Dtype::F32).into_iter().map(f32::from_bits).collect()
    }

    /// The numbers of a tensor in `u32`.
    pub(crate) fn ids(&self, tensor: &str) -> Vec<u32> {
        self.words(tensor, Dtype::U32)
    }

    fn words(&self, tensor: &str, expected: Dtype) -> Vec<u32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(tensor).unwrap();
        assert_eq!(view.dtype(), expected, "{tensor}");
        view.data().as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
    }
}

#[test]
fn vectors_of_the_processor_are_tested() {
    let sets: Vec<InstructionSet> = cpus().iter().map(instructions).collect();
    assert!(sets.contains(&InstructionSet::Portable));
    // Every 64-bit ARM processor has NEON; of those of x86, some have portable vectors only.
    assert_eq!(sets.contains(&InstructionSet::Neon), cfg!(target_arch = "aarch64"));
    assert_eq!(InstructionSet::detect(), *sets.last().unwrap());
}

fn instructions(device: &Device) -> InstructionSet {
    let Device::Cpu(cpu) = device else { panic!("{device} is no CPU") };
    cpu.instructions()
}

#[test]
fn a_wrong_gradient_is_found() {
    let loss = |x: &[f64]| x[0] * x[1];
    assert_gradient("product", &[2.0, 3.0], &[3.0, 2.0], loss);
    assert!(
        std::panic::catch_unwind(|| assert_gradient("product", &[2.0, 3.0], &[3.0, 2.001], loss)).is_err()
    );
}

#[test]
fn a_wrong_number_is_found() {
    assert_close("same", &[1.0], &[1.0f64], Tolerance::Exact);
    for wrong in [f64::NAN, 1.1] {
        let check = || assert_close("other", &[1.0], &[wrong], Tolerance::Chain);
        assert!(std::panic::catch_unwind(check).is_err());
    }
}

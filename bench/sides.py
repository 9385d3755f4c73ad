"""What is compared: Rondo and each variant of each peer, as command lines.

`rondo bench` and the peers' scripts each print one line of JSON; the workloads are in `peers/workloads.py`.
"""

import dataclasses
import pathlib
from typing import Dict, List, Optional, Tuple

from peers.workloads import is_generation

PEERS_FOLDER = pathlib.Path(__file__).resolve().parent / "peers"

# By default glibc returns freed memory to the system and requests it again in the next step, page by page, which takes
# a third of PyTorch's step on a large vocabulary. With this setting it keeps the memory, in large pages.
KEEP_FREED_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"
    ":glibc.malloc.top_pad=67108864:glibc.malloc.hugetlb=1"
}

# How to keep each program from using newer vector instructions than these.
INSTRUCTIONS = {
    "avx2": {
        "rondo": {"RONDO_CPU": "avx2"},
        "torch": {
            "ATEN_CPU_CAPABILITY": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        },
        "jax": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
        "mxnet": {"DNNL_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    }
}


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the programs that are compared on a workload."""

    key: str  # Its name in `raw.jsonl`.
    title: str  # Its name in the tables.
    peer: str  # `rondo`, or the name of the environment it runs in.
    command: Tuple[str, ...]
    environment: Dict[str, str]
    precision: str = "f32"
    streams: int = 1  # Number of texts generated at once.
    device: str = "cpu"  # Sides on other devices are not compared with each other.


@dataclasses.dataclass(frozen=True)
class Options:
    """The options for all sides."""

    threads: Optional[int] = None  # None: each side's own default.
    bf16: bool = False
    gpu: bool = False
    streams: int = 32  # Texts that Rondo generates at once, in addition to one; 1 turns it off.
    quick: bool = False
    rondo_arguments: Tuple[str, ...] = ()
    instructions: Optional[str] = None  # A name in `INSTRUCTIONS`; None: all that the processor has.

    def limits(self, program: str) -> Dict[str, str]:
        """The environment in which this program uses no newer instructions."""
        return INSTRUCTIONS[self.instructions][program] if self.instructions else {}


def rondo_sides(program: str, workload: str, options: Options) -> List[Side]:
    """Rondo on a workload: in f32, and in bf16 or with many streams if requested."""
    phases = "generate" if is_generation(workload) else "train,eval"
    command = (program, "bench", "--workload", workload, "--phase", phases, "--json", "--quiet")
    command += options.rondo_arguments
    if options.quick:
        command += ("--rounds", "1", "--seconds", "0.2")
    if options.threads:
        command += ("--threads", str(options.threads))
    limits = options.limits("rondo")
    sides = [Side("rondo", "Rondo", "rondo", command, limits)]
    if is_generation(workload):
        if options.streams > 1:
            streams = str(options.streams)
            many, title = command + ("--streams", streams), "Rondo, %s streams" % streams
            sides.append(Side("rondo-streams", title, "rondo", many, limits, streams=options.streams))
    elif options.bf16:
        bf16 = command + ("--precision", "bf16")
        sides.append(Side("rondo-bf16", "Rondo, bf16", "rondo", bf16, limits, precision="bf16"))
    if options.gpu:
        gpu = command + ("--device", "gpu")
        sides.append(Side("rondo-gpu", "Rondo, GPU", "rondo", gpu, limits, device="gpu"))
    return sides


def peer_sides(pythons: Dict[str, str], workload: str, options: Options) -> List[Side]:
    """The variants on a workload of each peer for which `pythons` has an interpreter."""
    variants = generation_variants() if is_generation(workload) else training_variants(workload, options)
    if options.gpu:
        variants = variants + gpu_variants(workload, options)
    sides = []
    for key, title, peer, flags, environment in variants:
        if peer not in pythons:
            continue
        script = str(PEERS_FOLDER / (peer + "_lm.py"))
        command = [pythons[peer], script, "--workload", workload, "--json", *length(workload, options)]
        if options.threads and "--threads" not in flags:
            command += ["--threads", str(options.threads)]
        precision = "bf16" if "--bf16" in flags else "f32"
        device = "gpu" if "cuda" in flags else "cpu"
        environment = {**environment, **options.limits(peer)}
        sides.append(Side(key, title, peer, tuple(command + flags), environment, precision, device=device))
    return sides


def length(workload: str, options: Options) -> List[str]:
    """How long a peer's process measures: the number of steps, and the seconds after which it stops early."""
    if options.quick:
        return ["--steps", "3", "--warmup", "1", "--max-seconds", "5"]
    if workload == "W7":  # A step takes about ten seconds on two cores.
        return ["--steps", "4", "--warmup", "1", "--max-seconds", "40"]
    return ["--steps", "15", "--max-seconds", "30"]


Variant = Tuple[str, str, str, List[str], Dict[str, str]]  # Key, title, peer, flags, environment.


def training_variants(workload: str, options: Options) -> List[Variant]:
    """The variants for training and evaluation."""
    variants: List[Variant] = [
        ("pytorch", "PyTorch", "torch", [], {}),
        ("pytorch-tuned", "PyTorch, allocator tuned", "torch", ["--tag", "+malloc"], KEEP_FREED_MEMORY),
        ("jax", "JAX, jit", "jax", [], {}),
        ("mxnet", "MXNet", "mxnet", [], {}),
    ]
    if workload != "W7":  # GluonNLP's AWDRNN cannot be hybridized.
        variants.append(("mxnet-hybrid", "MXNet, hybridized", "mxnet", ["--hybrid"], {}))
    if options.bf16:
        flags = ["--bf16", "--tag", "+malloc"]
        variants.append(("pytorch-bf16", "PyTorch, bf16 autocast, tuned", "torch", flags, KEEP_FREED_MEMORY))
    return variants


def gpu_variants(workload: str, options: Options) -> List[Variant]:
    """The variants on a GPU."""
    cuda = ["--device", "cuda", "--tag", "+cuda"]
    variants: List[Variant] = [("pytorch-cuda", "PyTorch, CUDA", "torch", cuda, {})]
    if options.bf16 and not is_generation(workload):
        variants.append(("pytorch-cuda-bf16", "PyTorch, CUDA, bf16 autocast", "torch", cuda + ["--bf16"], {}))
    return variants


def generation_variants() -> List[Variant]:
    """The variants for generation, which all sample from the distribution."""
    one_thread = ["--threads", "1", "--tag", "+1thread"]
    native, cumsum = ["--no-mkldnn"], ["--no-mkldnn", "--sampler", "cumsum"]
    return [
        ("pytorch", "PyTorch", "torch", [], {}),
        ("pytorch-1", "PyTorch, 1 thread", "torch", one_thread, {}),
        ("pytorch-native", "PyTorch, no oneDNN", "torch", native, {}),
        ("pytorch-native-1", "PyTorch, no oneDNN, 1 thread", "torch", native + one_thread, {}),
        ("pytorch-cumsum", "PyTorch, no oneDNN, own sampler", "torch", cumsum, {}),
        ("pytorch-cumsum-1", "PyTorch, no oneDNN, own sampler, 1 thread", "torch", cumsum + one_thread, {}),
        ("jax", "JAX, jit", "jax", [], {}),
        ("mxnet", "MXNet", "mxnet", [], {}),
        ("mxnet-naive", "MXNet, naive engine", "mxnet", ["--tag", "+naive"], {"MXNET_ENGINE_TYPE": "NaiveEngine"}),
    ]

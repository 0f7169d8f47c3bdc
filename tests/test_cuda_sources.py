"""CUDA sources: they compile as CuPy will compile them, and are launched as their signatures say."""

import re
import shutil
import subprocess

import numpy as np
import nvrtc
import pytest
from host_cuda import SOURCES, has_compiler, host_cupy, source

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
without_gpp = pytest.mark.skipif(not has_compiler(), reason="there is no g++")


@pytest.fixture(scope="module", autouse=True)
def cupy():
    with host_cupy() as module:
        yield module


@pytest.fixture
def example(cupy, monkeypatch):
    """A source of one kernel."""
    from minipg.kernels.gpu._cuda import Source

    text = """
KERNEL scaled(i64 threads, int columns, double factor, const bool *where, const real *x, real *out) {
    THREAD(i, threads);
    out[i] = where[i % columns] ? (real)(factor * x[i]) : (real)0;
}
"""
    return Source(text=text)


@pytest.mark.skipif(nvrtc.library() is None, reason="nvidia-cuda-nvrtc is not installed")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_compiles_at_run_time_without_a_warning(name, architecture):
    for real in (FLOAT, DOUBLE):
        assert nvrtc.compiled(source(name).text, source(name).compiler_options(real), architecture)


def with_nvcc(name, real, architecture, folder):
    file = folder / "source.cu"
    file.write_text(source(name).text, "utf-8")
    options = ["-cubin", f"-arch={architecture}", "-Werror=all-warnings", *source(name).compiler_options(real)]
    done = subprocess.run(["nvcc", *options, str(file), "-o", str(folder / "out")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "out").read_bytes()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc")
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_compiles_for_a_device(name, tmp_path):
    # one precision each; both precisions for all architectures are `slow`
    real = (FLOAT, DOUBLE)[SOURCES.index(name) % 2]
    assert with_nvcc(name, real, "sm_80" if real == FLOAT else "sm_90", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no nvcc")
@pytest.mark.parametrize("real", [FLOAT, DOUBLE], ids=str)
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_compiles_for_every_device(name, architecture, real, tmp_path):
    assert with_nvcc(name, real, architecture, tmp_path)


@pytest.mark.parametrize("name", SOURCES)
def test_no_kernel_waits_for_another_thread_or_adds_where_another_one_adds(name):
    assert not re.search(r"atomic|__sync|__shfl|__shared__|cooperative", source(name).text)


@pytest.mark.parametrize("name", SOURCES)
def test_no_source_is_compiled_with_fast_mathematics(name):
    options = source(name).compiler_options(FLOAT)
    assert not any("fast" in option for option in options)
    exact = "classic_control/batch.cu" in source(name).files
    assert ("--fmad=false" in options) == exact  # dynamics repeat another program's numbers


@pytest.mark.parametrize("name", SOURCES)
def test_every_kernel_begins_with_the_number_of_its_threads_and_has_known_types(name):
    from minipg.kernels.gpu._cuda import _TYPES

    signatures = source(name).signatures
    assert len(signatures) == source(name).text.count("\nKERNEL ") > 0
    for parameters in signatures.values():
        assert parameters[0][:2] == (False, "i64")
        assert {parameter.type for parameter in parameters} <= _TYPES[FLOAT].keys()
        assert len({parameter.name for parameter in parameters}) == len(parameters)


@without_gpp
def test_a_kernel_runs_in_the_precision_of_its_arrays(example):
    for dtype in (np.float32, np.float64):
        out = np.empty(5, dtype)
        example("scaled", 5, 2, 1 / 3, np.array([True, False]), np.arange(5, dtype=dtype), out)
        np.testing.assert_array_equal(out, (np.arange(5) / 3 * [1, 0, 1, 0, 1]).astype(dtype))


@without_gpp
def test_threads_beyond_the_work_of_the_last_block_write_nothing(example):
    out = np.full(400, 7.0)
    example("scaled", 300, 1, 1.0, np.array([True]), np.ones(400), out)
    np.testing.assert_array_equal(out, np.repeat([1.0, 7.0], [300, 100]))


def test_without_work_nothing_is_compiled_or_launched(example, monkeypatch):
    monkeypatch.setattr(type(example), "_compiled", lambda *_: pytest.fail("compiled"))
    example("scaled", 0, 1, 1.0, np.zeros(0, bool), np.ones(0), np.ones(0))


GIVEN = {"columns": 2, "factor": 0.5, "where": np.ones(2, bool), "x": np.ones(4), "out": np.ones(4)}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": np.ones(4, np.int64)}, "scaled, x: expected float32 or float64, got int64"),
        ({"x": np.ones(4, np.float16)}, "scaled, x: expected float32 or float64, got float16"),
        ({"out": np.ones(4, np.float32)}, "scaled, out: expected float64, got float32"),
        ({"where": np.ones(2, np.int8)}, "scaled, where: expected .*bool.*, got int8"),
        ({"x": np.ones(8)[::2]}, r"scaled, x: expected a contiguous array, got one of shape \(4,\)"),
        ({"out": 1.0}, "scaled, out: expected an array on the device, got float"),
        ({"x": [1.0]}, "scaled, x: expected an array on the device, got list"),
        ({"columns": 2.5}, "scaled, columns: expected a whole number, got float"),
        ({"factor": np.ones(1)}, "scaled, factor: expected a number, got ndarray"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_what_a_signature_does_not_allow_is_refused_before_anything_runs(example, change, message, monkeypatch):
    monkeypatch.setattr(type(example), "_compiled", lambda *_: pytest.fail("launched"))
    with pytest.raises(TypeError, match=message):
        example("scaled", 4, *{**GIVEN, **change}.values())


def test_one_argument_too_many_or_too_few_is_refused(example):
    for arguments in ((), (*GIVEN.values(), 1)):
        with pytest.raises(TypeError, match=f"scaled: expected 5 arguments, got {len(arguments)}"):
            example("scaled", 4, *arguments)


def test_a_parameter_that_cannot_be_read_is_named():
    from minipg.kernels.gpu._cuda import signatures

    with pytest.raises(TypeError, match=r"f: cannot read the parameter real \*\*x"):
        signatures("\nKERNEL f(i64 threads, real **x) {}", {})


def test_a_number_is_passed_in_the_width_that_the_kernel_reads(example, cupy, monkeypatch):
    seen = []
    monkeypatch.setattr(type(example), "_compiled", lambda *_: lambda grid, block, arguments: seen.extend(arguments))
    example("scaled", 4, *{**GIVEN, "columns": np.int64(2), "factor": 1}.values())
    assert [argument.dtype for argument in seen] == [np.int64, np.int32, np.float64, bool, np.float64, np.float64]

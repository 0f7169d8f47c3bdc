"""NVIDIA's run-time compiler, called as CuPy calls it; it needs no GPU."""

import ctypes
from importlib.util import find_spec
from pathlib import Path

_OF_CUPY = ("-ftz=true",)  # which CuPy adds to every source's options


def library():
    """The shared library, where `pip install nvidia-cuda-nvrtc-cu12` (for CUDA 13 without -cu12) put one, else None."""
    spec = find_spec("nvidia")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec is not None else []
    return next((path for folder in folders for path in sorted(folder.glob("*/lib/libnvrtc.so*"))), None)


def compiled(code, options, architecture):
    """The machine code of a source for an architecture such as `sm_80`. Raises AssertionError with its log."""
    nvrtc, program = ctypes.CDLL(str(library())), ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"source.cu", 0, None, None) == 0
    given = [option.encode() for option in (f"-arch={architecture}", *options, *_OF_CUPY)]
    status = nvrtc.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    assert "warning" not in log.value.decode(), log.value.decode()
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    code = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, code)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code.raw

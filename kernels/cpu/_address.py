"""Kernels that call each other by address.

A kernel inside another one is inlined, and compiled with it. One that is called by address is compiled by itself, by
another process at the same time if there is one, and kept by itself.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def address_of(kernel, signature):
    """Where `kernel`, which returns nothing, begins, compiled for arguments of these types: it is passed no others."""
    if signature not in kernel.overloads:
        kernel.compile(signature)
    code = kernel.overloads[signature]
    return code.library.get_pointer_to_function(code.fndesc.llvm_func_name)


@intrinsic
def call(typing, address, arguments):
    """Call the kernel at that address with this tuple of arguments → whether it came to its end, or raised an error."""

    def code(context, builder, signature, values):
        begins, passed = values[0], cgutils.unpack_tuple(builder, values[1])
        convention, kinds = context.call_conv, tuple(signature.args[1])
        pointer = convention.get_function_type(types.none, kinds).as_pointer()
        status, _ = convention.call_function(builder, builder.inttoptr(begins, pointer), types.none, kinds, passed)
        return status.is_ok

    return types.boolean(address, arguments), code

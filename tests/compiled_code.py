"""What compiled code does inside its loops, read from its LLVM: counting references, allocating, atomic operations."""

from typing import NamedTuple

import llvmlite.binding as llvm
import numba

RUNTIME = "NRT_"  # functions of Numba's runtime, which count references and allocate
ATOMIC = {"atomicrmw", "cmpxchg"}
NOT_OURS = {"nopython", "boundscheck"}


class Block(NamedTuple):
    """A basic block: the blocks that may come next, the functions that it calls, and its atomic operations."""

    following: list[llvm.ValueRef]
    does: list[str]


def compiled(function, signature, **options):
    """The LLVM of a function of Python, compiled for these types in this process, and its name there."""
    dispatcher = numba.njit(**{name: value for name, value in options.items() if name not in NOT_OURS})(function)
    dispatcher.compile(signature)
    return dispatcher.inspect_llvm(signature), dispatcher.overloads[signature].fndesc.llvm_func_name


def costs_in_loops(code, name):
    """What a function does inside loops that it should not: names of the runtime's functions and of atomic operations.

    A block is inside a loop if it can come after itself, or if its function is called inside a loop.
    """
    functions = {f.name: _blocks(f) for f in llvm.parse_assembly(code).functions if not f.is_declaration}
    costs, seen, todo = [], set(), [(name, False)]
    while todo:
        name, repeated = todo.pop()
        if (name, repeated) in seen:
            continue
        seen.add((name, repeated))
        blocks = functions[name]
        for block, (_, does) in blocks.items():
            costly = [done for done in does if done in ATOMIC or done.startswith(RUNTIME)]
            called = [done for done in does if done in functions and done not in costly]
            loops = bool(costly or called) and (repeated or block in _reachable(blocks, block))
            costs += costly if loops else []
            todo += [(done, loops) for done in called]
    return costs


def _blocks(function):
    """The blocks of a function."""
    blocks = {}
    for block in function.blocks:
        following, does = [], []
        for instruction in block.instructions:
            operands = list(instruction.operands)
            if instruction.opcode in ("call", "invoke"):
                does.append(operands[-1].name)
            elif instruction.opcode in ATOMIC:
                does.append(instruction.opcode)
            following += [operand for operand in operands if str(operand.type) == "label"]
        blocks[block] = Block(following, does)  # not by their names, which not all of them have
    return blocks


def _reachable(blocks, start):
    """All blocks that can come after this one."""
    found, todo = set(), list(blocks[start].following)
    while todo:
        block = todo.pop()
        if block not in found:
            found.add(block)
            todo += blocks[block].following
    return found

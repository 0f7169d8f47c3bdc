"""What compiled code does inside its loops, read from its LLVM: counting references, allocating, atomic operations."""

import re
from typing import NamedTuple

import llvmlite.binding as llvm

COSTLY = re.compile(r"NRT_|llvm\.memcpy\.element\.unordered\.atomic")  # Numba's runtime: it counts and allocates
ATOMIC = {"atomicrmw", "cmpxchg"}


class Block(NamedTuple):
    """A basic block: the blocks that may follow it, and the names of what it calls or does atomically."""

    following: list[str]
    does: list[str]


def _blocks(function):
    """The blocks of a function by name."""
    blocks = {}
    for block in function.blocks:
        following, does = [], []
        for instruction in block.instructions:
            operands = list(instruction.operands)
            if instruction.opcode in ("call", "invoke"):
                does.append(operands[-1].name)
            elif instruction.opcode in ATOMIC:
                does.append(instruction.opcode)
            following += [str(operand.name) for operand in operands if str(operand.type) == "label"]
        blocks[block.name] = Block(following, does)
    return blocks


def _reachable(blocks, start):
    """The blocks that can follow the block `start`, itself among them only if it is in a loop."""
    found, todo = set(), list(blocks[start].following)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += blocks[name].following
    return found


def costs_in_loops(code):
    """What the functions of this LLVM count, allocate or do atomically in their loops, in order.

    A block is in a loop if it can follow itself. What is called there is looked into, too.
    """
    functions = {f.name: _blocks(f) for f in llvm.parse_assembly(code).functions if not f.is_declaration}
    costs, seen = [], set()

    def look(name, everywhere):
        if (name, everywhere) in seen or name not in functions:
            return
        seen.add((name, everywhere))
        blocks = functions[name]
        for label, block in blocks.items():
            looping = None
            for done in block.does:
                costly = done in ATOMIC or COSTLY.match(done)
                if not costly and done not in functions:
                    continue
                if looping is None:
                    looping = everywhere or label in _reachable(blocks, label)
                if costly and looping:
                    costs.append(done)
                elif not costly:
                    look(done, looping)

    look(next(iter(functions)), False)
    return costs

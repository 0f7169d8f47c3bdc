"""Messages between a process and its children: a length, then a pickle, with a deadline for the whole of it."""

from __future__ import annotations

import pickle
import socket
import struct
import time
from typing import Any

import numpy as np

_LENGTH = struct.Struct("!Q")
_BLOCK = 1 << 20  # bytes read at once


def packed(message: Any) -> bytes:
    """A message as bytes to send. Raises whatever pickle raises for one that cannot be pickled."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(content)) + content


def send(pipe: socket.socket, message: bytes, until: float = np.inf) -> None:
    """Send a packed message, all of it before `until` (time.monotonic). Raises TimeoutError or another OSError."""
    pipe.settimeout(_left(until))
    pipe.sendall(message)


def receive(pipe: socket.socket, until: float = np.inf) -> Any:
    """The next message, all of it before `until`. Raises TimeoutError, or EOFError if the other end is closed."""
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size, until))
    return pickle.loads(_read(pipe, length, until))


def _read(pipe: socket.socket, length: int, until: float) -> bytearray:
    content = bytearray()
    while len(content) < length:
        pipe.settimeout(_left(until))
        part = pipe.recv(min(length - len(content), _BLOCK))
        if not part:
            raise EOFError
        content += part
    return content


def _left(until: float) -> float | None:
    return None if until == np.inf else max(until - time.monotonic(), 1e-3)

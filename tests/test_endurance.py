"""Short forms of what takes long to show; the long ones are commands of tests/audit/endurance.py."""

import io
import os
import zipfile
from hashlib import sha256

import endurance
import environments  # noqa: F401  (registers the environments that random command lines name)
import pytest

import minipg
from minipg.errors import AgentFileError


@pytest.mark.parametrize(
    "algorithm", ["trpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ppo", "td3"))]
)
def test_a_run_that_was_killed_at_a_random_moment_resumes_to_the_same_bits(tmp_path, algorithm):
    endurance.kill_and_resume(tmp_path, algorithm, kills=1, steps=endurance.RUNS[algorithm][1] // 2)


def test_a_damaged_file_is_refused_or_loads_equal(tmp_path):
    endurance.load_damaged(tmp_path, 300)


HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", "{'descr': (", "-" * 9000, "[" * 5000,
    "{'a': 1, 2: 3}", "{[]: 1}", "{'descr': 'O', 'fortran_order': False, 'shape': ()}", "\n  y\n z", "{1: 2L}",
    "{'descr': ('<f8',), 'fortran_order': False, 'shape': ()}",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (9,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999999)}",
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:20])
def test_a_false_header_under_a_right_checksum_is_refused_and_nothing_is_allocated_for_it(tmp_path, header):
    path, content = tmp_path / "agent.npz", io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("theta.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        archive.comment = bytes(64)
    body = content.getvalue()[:-64]
    path.write_bytes(body + sha256(body).hexdigest().encode())
    before = endurance.peak_memory()
    with pytest.raises(AgentFileError, match="damaged, or not a minipg agent file") as caught:
        minipg.load(path)
    assert "\n" not in str(caught.value)
    assert endurance.peak_memory() - before < 100e6


def test_random_command_lines_train_or_are_refused_in_one_line_with_status_2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endurance.run_random_commands(tmp_path, 60)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the memory of this process from Linux")
def test_the_memory_of_a_run_does_not_grow(tmp_path):
    endurance.train_long(tmp_path, 200_000)

"""Files that a user names: regular ones only, bounded, and never waited for."""

import os
import socket
import threading
from pathlib import Path

import pytest

from experiments.loading import ScenarioError, load, open_source
from zoo import ZooError, load_table, read_zoo
from zoo.files import FileProblem, open_regular, read_text

GOOD_ZOO = "model,device,accuracy,memory_mib,batch,latency_ms\na,gpu,0.9,10,1,2.0\n"


def fifo(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def unix_socket(folder):
    path = folder / "socket"
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)  # a socket's path has few characters
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
    finally:
        os.fchdir(here)
        os.close(here)
    return path


def link_to_fifo(folder):
    (folder / "link").symlink_to(fifo(folder))
    return folder / "link"


def loop(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


NO_FILES = {
    "FIFO": (fifo, "is a FIFO"),
    "link to a FIFO": (link_to_fifo, "is a FIFO"),
    "socket": (unix_socket, "is a socket"),
    "directory": (lambda folder: folder, "is a directory"),
    "zero": (lambda _: Path("/dev/zero"), "is a device"),
    "null": (lambda _: Path("/dev/null"), "is a device"),
    "missing": (lambda folder: folder / "none", "No such file or directory"),
    "under a file": (lambda folder: Path(__file__) / "x", "Not a directory"),
    "loop of links": (loop, "Too many levels"),
    "long name": (lambda folder: folder / ("x" * 300), "File name too long"),
    "NUL in the name": (lambda folder: folder / "a\0b", "null"),
}


def in_time(call, seconds=20.0):
    """What a call returns or raises; it must not wait for anybody."""
    found = []

    def target():
        try:
            found.append(call())
        except Exception as problem:  # noqa: BLE001 -- handed on to the test
            found.append(problem)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "still waiting"
    return found[0]


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_is_refused_at_once(kind, tmp_path):
    make, reason = NO_FILES[kind]
    path = make(tmp_path)
    for read in (lambda: open_regular(path, 100), lambda: read_text(path, 100)):
        problem = in_time(read)
        assert isinstance(problem, FileProblem)
        assert reason in str(problem)
        assert len(str(problem).splitlines()) == 1
        assert str(problem).endswith(problem.found)


@pytest.mark.parametrize("kind", NO_FILES)
def test_zoos_and_scenarios_are_read_from_regular_files_only(kind, tmp_path):
    make, reason = NO_FILES[kind]
    path = make(tmp_path)
    problem = in_time(lambda: read_zoo(path))
    assert isinstance(problem, ZooError)
    assert reason in str(problem)
    for folder in ("scenarios", "studies"):
        toml = tmp_path / f"{folder}.toml"
        if kind == "missing":
            continue
        toml.symlink_to(str(path).replace("\0", "0"))
        problem = in_time(lambda folder=folder, toml=toml: open_source(str(toml), folder))
        assert isinstance(problem, ScenarioError)
        assert len(str(problem).splitlines()) == 1


def test_the_limit_holds_whatever_the_file_system_says(tmp_path):
    path = tmp_path / "grows"
    path.write_bytes(b"x" * 100)
    assert open_regular(path, 100).read() == b"x" * 100
    with pytest.raises(FileProblem, match=r"at most 99 bytes, and this one has 100 bytes"):
        open_regular(path, 99)
    stream = open_regular(path, 100)
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(FileProblem, match="too large"):
        stream.read()
    # The file system says 0 bytes of files that the kernel writes as they are read.
    with pytest.raises(FileProblem, match="too large"):
        read_text("/proc/self/status", 100)
    with path.open("wb") as file:
        file.truncate(2**43)
    with pytest.raises(FileProblem, match="at most 1 KiB, and this one has 8192 GiB"):
        open_regular(path, 1024)


def test_a_stream_can_be_sought_in(tmp_path):
    path = tmp_path / "digits"
    path.write_bytes(b"0123456789")
    with open_regular(path, 10) as stream:
        assert stream.seek(-3, os.SEEK_END) == 7
        assert stream.read() == b"789"
        stream.seek(2)
        assert stream.read(2) == b"23"


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\xe2\x80\xa8d\n")
    assert read_text(path, 100) == "a\nb\nc\u2028d\n"
    path.write_bytes(b"a\nb\nc\xff\n")
    with pytest.raises(FileProblem, match=r"text: found bytes that are not UTF-8 in line 3; expected UTF-8 text$"):
        read_text(path, 100)
    path.write_bytes("a = 1\n".encode("utf-16"))
    with pytest.raises(FileProblem, match="not UTF-8 in line 1"):
        read_text(path, 100)


def test_a_zoo_and_a_scenario_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "zoo.csv").write_bytes(b"\xef\xbb\xbf" + GOOD_ZOO.encode())
    assert [v.model for v in load_table(str(tmp_path / "zoo.csv")).variants] == ["a"]
    toml = open_source("quickstart", "scenarios").name
    (tmp_path / "s.toml").write_bytes(b"\xef\xbb\xbf" + Path(toml).read_bytes())
    assert load(str(tmp_path / "s.toml")) == load("quickstart")


def test_a_huge_scenario_or_zoo_is_refused_before_it_is_read(tmp_path):
    for name in ("s.toml", "zoo.csv"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)
    with pytest.raises(
        ScenarioError, match=r"s.toml:1: file: cannot be read \(too large\); files here have at most 16 MiB"
    ):
        load(str(tmp_path / "s.toml"))
    with pytest.raises(ZooError, match=r"zoo.csv: cannot be read \(too large\); files here have at most 256 MiB"):
        read_zoo(tmp_path / "zoo.csv")

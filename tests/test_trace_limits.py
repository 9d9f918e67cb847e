"""Traces that are no files, that never end, or that claim more than they are: refused in one line, in little memory."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile

import pytest
from test_files import NO_FILES, in_time
from typer.testing import CliRunner

from experiments.cli import app
from workloads import Workload, read_servegen, read_trace
from workloads.clients import ServeGenClients
from workloads.traces import TraceError, opening, packing
from workloads.traces.opening import is_archive, members, open_source

VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
CLIENT = b"0,2.5,1.5,Gamma,0.4,1.0\n600,0,0,,0,0\n"


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def one_line(problem):
    return isinstance(problem, TraceError) and len(str(problem).splitlines()) == 1 and str(problem).isprintable()


@pytest.mark.parametrize("kind", sorted(set(NO_FILES) - {"NUL in the name"}))
def test_only_regular_files_and_folders_are_read(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, reason = NO_FILES[kind]
    path = make(tmp_path)
    reason = "no file named chunk" if kind == "directory" else reason
    readers = [lambda: read_servegen(path), lambda: ServeGenClients(path=str(path)).requests(1, 5.0)]
    if kind != "directory":
        readers += [lambda: read_trace(path), lambda: Workload(trace=str(path)).offered(1, None)]
    for read in readers:
        problem = in_time(read)
        assert one_line(problem), problem
        assert reason in str(problem)
    done = in_time(lambda: call("trace", path))
    assert done.exit_code == 2
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_fifo_in_a_folder_of_clients_is_passed_over(tmp_path):
    (tmp_path / "chunk-0-trace.csv").write_bytes(CLIENT)
    os.mkfifo(tmp_path / "chunk-1-trace.csv")
    assert len(in_time(lambda: read_servegen(tmp_path)).rate) == 1


def peak_of(call):
    """What a call raises, and the most memory that Python held meanwhile."""
    tracemalloc.start()
    try:
        with pytest.raises(TraceError) as caught:
            call()
        return caught.value, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bz2", "xz"])
@pytest.mark.parametrize("start", [b"", b"sent_s\n", b"7 ", b"[", b'{"timestamp": 1, "hash_ids": ['])
def test_a_line_without_an_end_is_refused_in_little_memory(pack, start, tmp_path, monkeypatch):
    for module in (opening, packing):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 2**21)
    path = tmp_path / "t"
    path.write_bytes(pack(start + b"1" * 2**24))
    problem, peak = peak_of(lambda: read_trace(path))
    assert one_line(problem)
    assert peak < 2**25
    if start not in {b"", b"["}:
        assert "found a longer line; a line has at most 2 MiB" in str(problem)


def test_the_format_is_told_by_the_first_mebibyte(tmp_path):
    path = tmp_path / "t"
    with path.open("wb") as file:
        file.write(b"no trace\n")
        file.truncate(2**32)
    problem, peak = peak_of(lambda: read_trace(path))
    assert "found 'no trace'; expected one of the formats" in str(problem)
    assert peak < 2**24


def test_more_bytes_than_the_limit_are_refused_and_the_way_round_is_named(tmp_path):
    path = tmp_path / "t"
    with path.open("wb") as file:
        file.truncate(9 * 2**30)
    problem, _ = peak_of(lambda: read_trace(path))
    assert "at most 8 GiB, and this one has 9 GiB (max_gib or --max-gib allows more)" in str(problem)
    packed = tmp_path / "p"
    packed.write_bytes(gzip.compress(b"sent_s\n" + b"1\n" * 2**20))
    with pytest.raises(TraceError, match=r"unpacks to more than 1,000 bytes; .*max_gib or --max-gib allows more"):
        list(open_source(packed, limit=1000).lines())


# --- archives that claim more than they are ---------------------------------------------------------------------------


def tarred(*entries, kind="gz", form=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}", format=form) as archive:
        for name, data, headers in entries:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), headers
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def raw_header(name, size, what):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, what
    return info.tobuf(tarfile.GNU_FORMAT)


SPARSE = {
    "GNU.sparse.major": "0",
    "GNU.sparse.minor": "1",
    "GNU.sparse.map": "0,512",
    "GNU.sparse.size": str(7 * 2**30),
}
GIB = b"\0" * 2**20
ARCHIVES = {
    "sparse": (tarred(("chunk-0-trace.csv", b"0" * 512, SPARSE)), "is sparse"),
    "header of 256 MiB": (gzip.compress(raw_header("x", 2**28, tarfile.XHDTYPE) + GIB * 256, 1), "more than 64 MiB"),
    "name of 256 MiB": (gzip.compress(raw_header("x", 2**28, tarfile.GNUTYPE_LONGNAME) + GIB * 256, 1), "more than 64 MiB"),
    "claims 3 GiB": (gzip.compress(raw_header("chunk-0-trace.csv", 3 * 2**30, tarfile.REGTYPE)), "add up to more than 1 GiB"),
    "claims a byte more": (
        gzip.compress(raw_header("chunk-0-trace.csv", 2**20, tarfile.REGTYPE) + b"0" * 512),
        "cannot be read as an archive",
    ),
    "a tar in it": (tarred(("inner.tar.gz", tarred(("chunk-0-trace.csv", CLIENT, {})), {})), "no file named chunk"),
    "empty": (tarred(), "cannot be read"),
    "escapes in a name": (tarred(("../\x1b[31mchunk-0-trace.csv", CLIENT, {})), "leaves the archive"),
    "new line in a name": (tarred(("a\nb/chunk-0-trace.csv", b"0,1,1,Normal\n", {})), "expected Gamma, Weibull"),
    "no unicode in a name": (tarred(("\udcff/chunk-0-trace.csv", b"0,1,1,Normal\n", {})), "expected Gamma, Weibull"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_claims_too_much_is_refused_in_little_memory(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, message = ARCHIVES[kind]
    (tmp_path / "t.tar.gz").write_bytes(content)
    problem, peak = peak_of(lambda: read_servegen(tmp_path / "t.tar.gz"))
    assert one_line(problem), problem
    assert kind == "empty" or message in str(problem)
    assert peak < 200 * 2**20
    done = call("trace", "t.tar.gz")
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_other_files_of_an_archive_are_not_held(tmp_path):
    big = ("d/chunk-0-dataset.json", b"\0" * 2**26, {})
    (tmp_path / "t.tar.gz").write_bytes(tarred(("d/chunk-0-trace.csv", CLIENT, {}), big))
    tracemalloc.start()
    assert len(read_servegen(tmp_path / "t.tar.gz").rate) == 1
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_folder_or_an_archive_of_very_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MAX_MEMBERS", 10)
    for number in range(11):
        (tmp_path / f"chunk-{number}-trace.csv").write_bytes(CLIENT)
    (tmp_path / "t.tar").write_bytes(tarred(*((f"chunk-{k}-trace.csv", CLIENT, {}) for k in range(11)), kind=""))
    for path in (tmp_path, tmp_path / "t.tar"):
        with pytest.raises(TraceError, match="found more than 10 entries"):
            members(path)


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_archives_are_told_by_their_content_however_packed(kind, tmp_path):
    path = tmp_path / "clients"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        path.write_bytes(tarred(("d/chunk-3-trace.csv", CLIENT, {}), kind=kind, form=form))
        assert is_archive(path)
        assert read_servegen(path).rate.tolist() == [[2.5, 0.0]]
    for content in (b"", b"sent_s\n1\n", b"\0" * 1024, b"\x1f\x8b\x08", gzip.compress(b"sent_s\n"), b"PK\x03\x04"):
        path.write_bytes(content)
        assert not is_archive(path)


# --- packed files that are broken -------------------------------------------------------------------------------------


def zipped(data, *, names=("t.csv",), how=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer.getvalue()


def encrypted(data):
    """The same zip with the bit that says that a password is needed, in both places."""
    content = bytearray(zipped(data))
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


TEXT = (VIDUR + "1,1,1\n2.5,1,1\n").encode()
PACKED = {"gzip": gzip.compress(TEXT), "bz2": bz2.compress(TEXT), "xz": lzma.compress(TEXT), "zip": zipped(TEXT)}


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_file_that_is_cut_anywhere_gets_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "t"
    for length in range(len(PACKED[kind])):
        path.write_bytes(PACKED[kind][:length])
        with pytest.raises(TraceError) as caught:
            read_trace(path)
        assert one_line(caught.value)
        if length < 12:
            done = call("trace", "t")
            assert (done.exit_code, len(done.stderr.strip().splitlines())) == (2, 1), done.output


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_file_with_a_flipped_bit_is_refused_or_right(kind, tmp_path):
    path = tmp_path / "t"
    for place in range(len(PACKED[kind]) * 8):
        content = bytearray(PACKED[kind])
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            trace = read_trace(path)
        except TraceError as problem:
            assert one_line(problem)
        else:
            assert trace.content.times_s.tolist() == [0.0, 1.5]


ZIPS = {
    "password": (encrypted(TEXT), "is encrypted"),
    "two files": (zipped(TEXT, names=("a", "b")), "holds 2 files; expected a zip of one trace"),
    "no file": (zipped(TEXT, names=("d/",)), "holds 0 files"),
    "bz2 inside": (zipped(TEXT, how=zipfile.ZIP_BZIP2), "packed in an unusual way; expected deflate"),
    "a zip in it": (zipped(zipped(TEXT)), "cannot be read on"),
    "a table of 128 MiB": (b"PK\x03\x04" + b"\0" * 2**27 + b"PK\x05\x06\0\0\0\0\1\0\1\0" + (2**27).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"\0\0", "more than 64 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ZIPS)
def test_a_zip_of_something_else_gets_one_line(kind, tmp_path):
    content, message = ZIPS[kind]
    (tmp_path / "t.zip").write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read_trace(tmp_path / "t.zip")
    assert one_line(caught.value)
    assert message in str(caught.value)


def test_a_zip_with_a_path_writes_nothing(tmp_path):
    (tmp_path / "t.zip").write_bytes(zipped(TEXT, names=("../../evil.csv",)))
    assert len(read_trace(tmp_path / "t.zip").content) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["t.zip"]


def test_a_file_that_becomes_shorter_while_it_is_read_is_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(VIDUR + "".join(f"{k},1,1\n" for k in range(100_000)))
    lines = open_source(path).lines()
    next(lines)
    os.truncate(path, 200_000)
    with pytest.raises(TraceError, match="became shorter"):
        list(lines)

"""The cache of trained networks: whatever is in it that should not be is told, made again and replaced."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoo import ZooError
from zoo.cache import cache_folder, cached, write
from zoo.datasets import Split
from zoo.families import Family, Member, family_zoo

FAMILY = Family("small", Split("digits", 100, 100, seed=0), (Member("a", "mlp4", 50, 1, 0.001),))


def cut(file, whole):
    file.write_bytes(whole[: len(whole) // 2])


def flipped(file, whole):
    data = bytearray(whole)
    data[len(data) // 3] ^= 4
    file.write_bytes(data)


def flipped_at_its_end(file, whole):
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def empty(file, whole):
    file.write_bytes(b"")


def of_another_program(file, whole):
    np.savez(file, probabilities=np.zeros((3, 2)))


def of_another_shape(file, whole):
    write(file, file.name, {"probabilities": np.full((3, 2), 0.5, np.float32), "w": np.zeros(1)})


def of_another_network(file, whole):
    family_zoo(replace(FAMILY, members=(Member("a", "mlp8", 50, 1, 0.001),)), file.parent / "other")
    (network,) = (file.parent / "other").iterdir()
    network.replace(file)
    network.parent.rmdir()


def without_weights(file, whole):
    write(file, file.name, {"probabilities": np.load(file)["probabilities"]})


def without_numbers(file, whole):
    write(file, file.name, {name: array * np.nan for name, array in dict(np.load(file)).items()})


def weights_without_numbers(file, whole):
    arrays = dict(np.load(file))
    write(file, file.name, arrays | {name: a * np.nan for name, a in arrays.items() if name != "probabilities"})


def no_probabilities(file, whole):
    arrays = dict(np.load(file))
    write(file, file.name, arrays | {"probabilities": arrays["probabilities"] * 2})


def a_link_to_nowhere(file, whole):
    file.unlink()
    file.symlink_to("nowhere")


def a_fifo(file, whole):
    file.unlink()
    os.mkfifo(file)


DAMAGE = [
    cut,
    flipped,
    flipped_at_its_end,
    empty,
    of_another_program,
    of_another_shape,
    of_another_network,
    without_weights,
    without_numbers,
    weights_without_numbers,
    no_probabilities,
    a_link_to_nowhere,
    a_fifo,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_network_is_told_in_one_line_trained_again_and_replaced(tmp_path, caplog, damage):
    expected = family_zoo(FAMILY, tmp_path).answers
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    assert caplog.messages == []
    damage(file, whole)
    found = family_zoo(FAMILY, tmp_path).answers
    (line,) = caplog.messages
    assert line.startswith(f"{file}: ")
    assert line.endswith("; it is made again")
    assert "\n" not in line
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert file.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    family_zoo(FAMILY, tmp_path)
    assert len(caplog.messages) == 1


def test_a_network_with_the_weights_of_another_is_told(tmp_path):
    zoo = family_zoo(FAMILY, tmp_path)
    (file,) = tmp_path.iterdir()
    write(file, file.name, {"probabilities": zoo.answers.probabilities[0], "w": np.zeros(3)})
    with pytest.raises(ZooError, match="holds weights of another network; remove it"):
        zoo.answers.networks.network(0)
    empty(file, b"")
    with pytest.raises(ZooError, match="is damaged, was changed"):
        zoo.answers.networks.network(0)


def test_the_line_goes_to_standard_error(tmp_path):
    code = (
        "import sys; sys.path.insert(0, 'tests'); from pathlib import Path; from test_cache import FAMILY, family_zoo\n"
        "family_zoo(FAMILY, Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, tmp_path]
    root = Path(__file__).parents[1]
    subprocess.run(command, check=True, cwd=root)
    (file,) = tmp_path.iterdir()
    empty(file, b"")
    done = subprocess.run(command, check=True, cwd=root, capture_output=True, text=True)
    told = "is damaged, was changed after it was written, or is another network's; it is made again"
    assert done.stderr == f"{file}: {told}\n"
    assert done.stdout == ""


def never():
    raise AssertionError("something was made")


def anything(_):
    return ""


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.npz").mkdir()
    places = [tmp_path / "file" / "x.npz", Path("/proc/x/x.npz"), tmp_path / ("x" * 256), tmp_path / "folder.npz"]
    for place in places:
        with pytest.raises(ZooError, match=r"cannot be written \(.*\); set SIEGELAB_CACHE to a folder that can"):
            cached(place, never, anything)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder.npz"}


def test_a_full_disk_leaves_no_half_written_network(tmp_path, monkeypatch):
    def full(self, content):
        with self.open("wb") as stream:
            stream.write(content[:10])
        if content:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ZooError, match="No space left on device"):
        cached(tmp_path / "x.npz", lambda: {"a": np.zeros(9)}, anything)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_fails_is_no_network(tmp_path):
    with pytest.raises(ZooError, match="x: training gave a network that is wrong"):
        cached(tmp_path / "x.npz", lambda: {"a": np.zeros(9)}, lambda _: "is wrong")
    assert list(tmp_path.iterdir()) == []


def test_drafts_of_killed_processes_are_removed(tmp_path):
    dead, young = tmp_path / ".x.npz.1", tmp_path / ".x.npz.2"
    for draft in (dead, young):
        draft.write_bytes(b"half")
    os.utime(dead, (0, 0))
    cached(tmp_path / "x.npz", lambda: {"a": np.zeros(9)}, anything)
    assert {path.name for path in tmp_path.iterdir()} == {"x.npz", ".x.npz.2"}


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("SIEGELAB_CACHE", "")
    assert cache_folder() == Path.home() / ".cache" / "siegelab"
    monkeypatch.setenv("SIEGELAB_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SIEGELAB_CACHE")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ZooError, match="SIEGELAB_CACHE: found nothing, and no home folder"):
        cache_folder()

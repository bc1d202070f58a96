import numpy as np
import pytest
from PIL import Image

from toolkit.data import load
from toolkit.data.images import read
from toolkit.errors import DataError

RNG = np.random.default_rng(0)


def noise(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 40 grey pictures of 12 x 10."""
    for name in ("cat", "dog"):
        for i in range(40):
            save(tmp_path / name / f"{i:02}.png", noise(12, 10))
    return tmp_path


def test_one_folder_a_class(folder):
    splits = load(folder)
    assert splits.test.classes == ("cat", "dog")
    assert splits.test.kind == "image"
    assert splits.test.x.shape[1:] == (12, 10, 1)
    parts = (splits.fit.train, splits.fit.validation, splits.fit.calibration, splits.test)
    assert sum(len(p) for p in parts) == 80


def test_pixels_are_those_of_the_files_in_order(folder):
    raw = read(folder)
    for i in (0, 39, 40):
        path = folder / raw.classes[raw.y[i]] / f"{i % 40:02}.png"
        assert np.array_equal(raw.x[i, ..., 0], np.asarray(Image.open(path)))


def test_train_and_test_folders(tmp_path):
    for part, n in (("train", 40), ("test", 5)):
        for name in ("a", "b"):
            for i in range(n):
                save(tmp_path / part / name / f"{i}.bmp", noise(8, 8, 3))
    splits = load(tmp_path)
    assert len(splits.test) == 10
    assert splits.test.x.shape[1:] == (8, 8, 3)
    save(tmp_path / "test" / "c" / "x.png", noise(8, 8, 3))
    with pytest.raises(DataError, match="has the class c"):
        load(tmp_path)


def test_formats_and_depths_come_to_the_same_values(tmp_path):
    grey = noise(9, 9)
    save(tmp_path / "a" / "1.png", grey)
    save(tmp_path / "a" / "2.bmp", grey)
    save(tmp_path / "a" / "3.gif", grey)
    save(tmp_path / "b" / "4.png", grey.astype(np.uint16) * 257)
    save(tmp_path / "b" / "5.tif", grey)
    found = read(tmp_path).x
    assert all(np.array_equal(one[..., 0], grey) for one in found)


def test_one_colour_picture_makes_all_of_them_colour(tmp_path):
    save(tmp_path / "a" / "1.png", noise(6, 6))
    save(tmp_path / "b" / "2.png", noise(6, 6, 3))
    found = read(tmp_path).x
    assert found.shape == (2, 6, 6, 3)
    assert (found[0, ..., 0] == found[0, ..., 2]).all()


def test_what_is_transparent_is_white(tmp_path):
    clear = np.zeros((5, 5, 4), np.uint8)
    clear[0, 0] = [10, 20, 30, 255]
    save(tmp_path / "a" / "1.png", clear)
    save(tmp_path / "b" / "2.png", noise(5, 5, 3))
    found = read(tmp_path).x[0]
    assert found[0, 0].tolist() == [10, 20, 30]
    assert (found[1:] == 255).all()


def test_a_picture_on_its_side_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    flat = np.zeros((4, 8), np.uint8)
    flat[:, :4] = 255
    save(tmp_path / "a" / "1.jpg", flat, exif=exif, quality=100)
    save(tmp_path / "b" / "2.png", noise(8, 4))
    found = read(tmp_path).x[0, ..., 0]
    assert found.shape == (8, 4)
    assert found[:3].min() > 200
    assert found[5:].max() < 55


def test_a_note_of_its_side_that_is_a_text_is_passed_over(tmp_path):
    """Tag 0x0112 of type 2, ASCII, as no camera should write it."""
    raw = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0"
    save(tmp_path / "a" / "1.jpg", noise(8, 4), exif=raw)
    save(tmp_path / "b" / "2.png", noise(8, 4))
    assert read(tmp_path).x.shape[1:3] == (8, 4)


def test_other_sizes_are_resized_and_counted(folder):
    save(folder / "cat" / "odd.png", noise(30, 30))
    raw = read(folder)
    assert raw.x.shape[1:3] == (12, 10)
    assert raw.facts["resized"] == 1
    assert read(folder, (5, 7)).x.shape[1:3] == (5, 7)


def test_other_files_are_passed_over(folder):
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / ".hidden").mkdir()
    assert len(read(folder).x) == 80


def test_what_cannot_be_read(folder, tmp_path):
    (folder / "cat" / "cut.png").write_bytes((folder / "cat" / "00.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"cut\.png") as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    (tmp_path / "one" / "x").mkdir(parents=True)
    with pytest.raises(DataError, match="at least two"):
        read(tmp_path / "one")
    (tmp_path / "none" / "x").mkdir(parents=True)
    (tmp_path / "none" / "y").mkdir()
    with pytest.raises(DataError, match="no picture"):
        read(tmp_path / "none")


def test_pictures_of_real_numbers_are_refused(folder):
    """As bytes, values of 0..1 would all be black."""
    save(folder / "cat" / "x.tif", RNG.random((12, 10)).astype(np.float32))
    with pytest.raises(DataError, match="real numbers"):
        load(folder)


def test_a_class_without_pictures_is_refused(folder):
    (folder / "__MACOSX").mkdir()
    assert load(folder).test.classes == ("cat", "dog")
    (folder / "eel").mkdir()
    with pytest.raises(DataError, match="eel holds no picture"):
        load(folder)


def sorted_into(*folders, tmp_path, count=3):
    """Pictures in each folder, no two alike."""
    for place in folders:
        for i in range(count):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            save(tmp_path / place / f"{i}.png", noise(5, 6, 3))
    return tmp_path


PARTS = ("train", "valid", "test")


@pytest.mark.parametrize(
    "names",
    [
        PARTS,
        ("Training", "dev", "Testing"),
        ("training_set", "validation_set", "test_set"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
    ],
)
def test_three_parts(names, tmp_path):
    train, held, test = names
    sorted_into(f"{train}/cat", f"{train}/dog", tmp_path=tmp_path, count=20)
    sorted_into(f"{held}/cat", f"{held}/dog", tmp_path=tmp_path, count=4)
    sorted_into(f"{test}/cat", f"{test}/dog", tmp_path=tmp_path, count=5)
    found = load(tmp_path)
    assert found.test.classes == ("cat", "dog")
    assert (len(found.fit.validation), len(found.test)) == (8, 10)


def test_a_folder_in_a_folder_is_entered(tmp_path):
    sorted_into("pets/pets/cat", "pets/pets/dog", "__MACOSX/x", tmp_path=tmp_path, count=20)
    assert load(tmp_path).test.classes == ("cat", "dog")


def test_a_class_may_be_called_train(tmp_path):
    sorted_into("bus", "car", "train", tmp_path=tmp_path, count=20)
    assert load(tmp_path).test.classes == ("bus", "car", "train")


def test_parts_are_not_taken_for_classes(tmp_path):
    sorted_into("one/cat", "one/dog", "two/cat", "two/dog", tmp_path=tmp_path)
    with pytest.raises(DataError, match="all hold cat, dog"):
        load(tmp_path)


@pytest.mark.parametrize("mode", ["CMYK", "P", "I;16", "1", "LA", "RGBA"])
def test_pictures_of_every_mode(mode, tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(20):
            grey = np.full((5, 6), 200 if name == "a" else 40, np.uint8)
            grey[0, 0] = i
            picture = Image.fromarray(grey).convert("RGB").convert("L" if mode == "I;16" else mode)
            if mode == "P":
                picture = Image.fromarray(grey).convert("RGB").quantize(256)
            if mode == "I;16":
                picture = Image.fromarray(257 * grey.astype(np.uint16))
            picture.save(tmp_path / name / f"{i}.{'tif' if mode == 'CMYK' else 'png'}")
    found = load(tmp_path)
    middle = found.test.x[:, 2:, 2:].reshape(len(found.test), -1)
    # black and white by dithering: only the mean is near
    tolerance = 60 if mode == "1" else 2
    wanted = np.where(found.test.y == 0, 200, 40)
    assert np.abs(middle.mean(axis=1) - wanted).max() <= tolerance

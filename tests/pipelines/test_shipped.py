"""Weights that come with the package: found, verified, or refused by a sentence."""

import pytest

from tf_faces.core import files, stems
from tf_faces.core.errors import FormatError, InputError
from tf_faces.pipelines import opening, shipped


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """One imaginary system's weights."""
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    folder = tmp_path / stems.STEMS[0]
    (folder / "snapshots").mkdir(parents=True)
    (folder / "snapshots" / "a.npz").write_bytes(b"numbers")
    files.write_text(folder / shipped.CARD, "a card")
    files.write_json(folder / shipped.DIGESTS, shipped.digests_of(folder))
    return folder


def test_weights_are_found(weights):
    assert shipped.with_weights() == (stems.STEMS[0],)
    assert shipped.folder(stems.STEMS[0]) == weights
    assert shipped.resolve("open", stems.STEMS[0]) == weights
    assert shipped.resolve("results/1", stems.STEMS[0]) == "results/1"
    files.write_text(weights / shipped.CARD, "another word on the card")
    assert shipped.folder(stems.STEMS[0]) == weights


def test_weights_of_several_kinds(weights):
    for kind in ("ict", "builtin"):
        folder = shipped.ROOT / stems.STEMS[1] / kind
        folder.mkdir(parents=True)
        (folder / "a.npz").write_bytes(b"numbers")
        files.write_json(folder / shipped.DIGESTS, shipped.digests_of(folder))
    assert shipped.with_weights() == stems.STEMS[:2]
    assert shipped.kinds(stems.STEMS[0]) == ("",)
    assert shipped.kinds(stems.STEMS[1]) == ("builtin", "ict")
    assert shipped.folder(stems.STEMS[1], "ict") == folder.with_name("ict")
    both = rf"some of {stems.STEMS[0]}, {stems.STEMS[1]} \(builtin, ict\)"
    with pytest.raises(InputError, match=both):
        shipped.folder(stems.STEMS[1])
    assert opening.find("open", models=stems.STEMS[:2]).path == weights
    with pytest.raises(InputError, match="open: found weights of no system"):
        opening.find("open", models=[stems.STEMS[1]])


def test_without_weights(weights):
    with pytest.raises(InputError, match=f"none of {stems.STEMS[1]} come with"):
        shipped.resolve("open", stems.STEMS[1])


@pytest.mark.parametrize("change", ["changed", "missing", "unknown", "no digests"])
def test_other_files_are_refused(weights, change):
    member = weights / "snapshots" / "a.npz"
    if change == "changed":
        member.write_bytes(b"numberS")
    elif change == "missing":
        member.unlink()
    elif change == "unknown":
        (weights / "b.npz").write_bytes(b"")
        member = weights / "b.npz"
    else:
        files.write_json(weights / shipped.DIGESTS, [1])
        member = weights / shipped.DIGESTS
    with pytest.raises(FormatError) as raised:
        shipped.folder(stems.STEMS[0])
    assert str(raised.value).startswith(f"{member}: missing, changed or unknown")


def test_those_of_the_package_are_whole_and_have_cards():
    assert shipped.with_weights()
    total = 0
    for stem, kind in [
        (a, b) for a in shipped.with_weights() for b in shipped.kinds(a)
    ]:
        folder = shipped.folder(stem, kind)
        assert opening.find(str(folder)).stem == stem
        card = (folder / shipped.CARD).read_text()
        for word in ("configs/", "licence", "images", "hours", "fail"):
            assert word in card.lower(), (stem, word)
        total += sum(path.stat().st_size for path in folder.rglob("*"))
    assert total < 40e6

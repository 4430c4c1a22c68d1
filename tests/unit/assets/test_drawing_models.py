"""What posters of 3D models look like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from services.assets.adapters.drawing import models
from services.assets.adapters.drawing.canvas import NothingToDraw
from services.assets.adapters.drawing.models import scene, studio
from services.assets.adapters.drawing.models.lamp import hung
from services.assets.adapters.drawing.models.raster import Corners, Seen, fill
from services.assets.adapters.drawing.models.scene import assembled
from tests.unit.assets import makers
from tests.unit.assets.models import CORNERS, PLACES, TWO, Model, ball
from tests.unit.assets.test_drawing import kept

SIZE = 160
RED, GREEN, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)


def poster(model: Model | bytes, size: int = SIZE) -> Any:
    """The poster as numbers, from above, from the left."""
    content = model if isinstance(model, bytes) else model.glb()
    (image,) = models.draw(content, "model/gltf-binary", [size])
    assert image.size == (size, size)
    return np.asarray(image).astype(int)


def share(picture: Any, colour: tuple[float, ...]) -> float:
    """How much of a picture has about this colour, which is of red, green and blue at their strongest."""
    wanted = np.array(colour[:3]) > 0.5
    strong = (picture > 120) == wanted
    pure = np.abs(picture.max(axis=2) - picture.min(axis=2)) > 110
    return float((strong.all(axis=2) & pure).mean())


def middle(picture: Any) -> tuple[int, ...]:
    return tuple(picture[SIZE // 2, SIZE // 2])


def moved(*by: float) -> dict[str, list[float]]:
    return {"translation": list(by)}


@pytest.mark.promise("2b-output")
def test_a_model_fills_the_poster_and_stands_in_front_of_a_bright_wall() -> None:
    model = Model()
    model.square(RED)
    picture = poster(model)
    assert 0.25 < share(picture, RED) < 0.75
    assert picture[0].min() > 150
    coloured = np.abs(picture.max(axis=2) - picture.min(axis=2)) > 110
    rows, columns = np.flatnonzero(coloured.any(axis=1)), np.flatnonzero(coloured.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) == pytest.approx(0.84 * SIZE, abs=4)
    assert abs(rows.mean() - SIZE / 2) < 3
    assert abs(columns.mean() - SIZE / 2) < 3


@pytest.mark.parametrize("away", [1e-4, 1.0, 1e5])
def test_a_model_of_any_size_anywhere_is_seen_whole(away: float) -> None:
    model = Model()
    model.square(RED, node={"scale": [away] * 3, "translation": [7 * away, -3 * away, away]})
    assert 0.25 < share(poster(model), RED) < 0.75


def test_what_is_nearer_hides_what_is_behind_it_whatever_comes_first() -> None:
    for first, second in ((RED, GREEN), (GREEN, RED)):
        model = Model()
        model.square(first, node=moved(0, 0, 1 if first == GREEN else -1))
        model.square(second, node=moved(0, 0, 1 if second == GREEN else -1))
        picture = poster(model)
        assert share(picture, GREEN) > 2 * share(picture, RED) > 0


def test_triangles_that_cut_one_another_are_seen_where_they_are_in_front() -> None:
    model = Model()
    half = np.sqrt(0.5)
    model.square(RED, node={"rotation": [0, half * np.sin(0.6), 0, np.cos(0.6)]})
    model.square(BLUE, node={"rotation": [0, -half, 0, half]})
    picture = poster(model)
    assert min(share(picture, RED), share(picture, BLUE)) > 0.05


def test_a_picture_lies_on_a_surface_the_right_way_round() -> None:
    flag = Image.new("RGB", (64, 64), "blue")
    flag.paste("red", (0, 0, 32, 32))
    flag.paste("lime", (32, 0, 64, 32))
    model = Model()
    model.square(picture=flag)
    picture = poster(model)
    third, rest = SIZE // 3, 2 * SIZE // 3
    assert share(picture[third:, :third][:10], RED) > 0.4  # at the upper left
    assert share(picture[third:, rest:][:10], GREEN) > 0.4
    assert share(picture[rest:, third:rest][:10], BLUE) > 0.4


def test_a_picture_may_be_moved_turned_and_repeated() -> None:
    half = Image.new("RGB", (64, 64), "red")
    half.paste("blue", (32, 0, 64, 64))
    for transform, wanted in (
        ({"offset": [0.25, 0], "scale": [0.1, 1]}, RED),
        ({"offset": [0.75, 0], "scale": [0.1, 1]}, BLUE),
    ):
        model = Model()
        model.square(picture=half, how={"extensions": {"KHR_texture_transform": transform}})
        assert share(poster(model), wanted) > 0.25
    model = Model()
    model.square(picture=half, how={"extensions": {"KHR_texture_transform": {"scale": [4, 1]}}})
    row = poster(model)[SIZE // 2]
    changes = np.diff((row[:, 0] > 120) & (row[:, 2] < 120)).sum()
    assert changes >= 6


def test_corners_have_colours_and_materials_have_factors() -> None:
    model = Model()
    colours = np.array((RED, RED, BLUE, BLUE), "f4")
    model.mesh(POSITION=CORNERS, COLOR_0=colours, primitive={"material": model.material()})
    picture = poster(model)
    assert share(picture[SIZE // 2 :], RED) > share(picture[: SIZE // 2], RED)
    assert share(picture[: SIZE // 2], BLUE) > share(picture[SIZE // 2 :], BLUE)


@pytest.mark.parametrize(("mode", "order"), [(4, TWO), (5, (0, 1, 3, 2)), (6, (0, 1, 2, 3)), (4, None)])
def test_triangles_come_one_by_one_in_strips_and_in_fans(mode: int, order: Any) -> None:
    model = Model()
    corners = CORNERS[TWO] if order is None else CORNERS
    model.mesh(order, POSITION=corners, primitive={"mode": mode, "material": model.material(RED)})
    assert share(poster(model), RED) > 0.25


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_points_and_lines_are_no_surface(mode: int) -> None:
    model = Model()
    model.mesh(POSITION=CORNERS, primitive={"mode": mode})
    with pytest.raises(NothingToDraw):
        poster(model)


def test_numbers_may_be_small_spread_out_and_replaced() -> None:
    model = Model()
    spread = np.zeros((4, 8), "f4")
    spread[:, :3] = CORNERS
    view = model.view(spread.tobytes())
    model.json["bufferViews"][view]["byteStride"] = 32
    places = {"bufferView": view, "componentType": 5126, "count": 4, "type": "VEC3"}
    colours = model.numbers(np.array([(255, 0, 0)] * 4, "B"), normalized=True)
    order = model.numbers(np.array(TWO, "H"))
    attributes = {"POSITION": model.add("accessors", places), "COLOR_0": colours}
    primitive = {"attributes": attributes, "indices": order, "material": model.material()}
    node = model.add("nodes", {"mesh": model.add("meshes", {"primitives": [primitive]})})
    model.json["scenes"][0]["nodes"].append(node)
    assert share(poster(model), RED) > 0.25
    moved_corner = {
        "count": 1,
        "indices": {"bufferView": model.view(np.array([2], "H").tobytes()), "componentType": 5123},
        "values": {"bufferView": model.view(np.array([(3, 3, 0)], "f4").tobytes())},
    }
    places["sparse"] = moved_corner
    assert assembled(model.glb()).points.max() == 3


def test_nodes_stand_on_one_another() -> None:
    model = Model()
    child = model.square(RED, node={"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 0, 0, 1]})
    parent = model.add("nodes", {"scale": [2, 1, 1], "children": [child]})
    model.json["scenes"][0]["nodes"] = [parent]
    assert assembled(model.glb()).points[:, 0].tolist() == [8, 12, 12, 8]


def test_nodes_in_a_circle_come_to_an_end() -> None:
    model = Model()
    own = model.square(RED)
    model.json["nodes"][own]["children"] = [own]
    assert len(assembled(model.glb()).faces) == 2


def test_a_skin_moves_its_points_with_its_bones() -> None:
    model = Model()
    joints = np.array([(1, 0, 0, 0)] * 4, "B")
    weights = np.array([(1, 0, 0, 0)] * 4, "f4")
    own = model.mesh(POSITION=CORNERS, JOINTS_0=joints, WEIGHTS_0=weights)
    root, bone = model.add("nodes", {}), model.add("nodes", moved(0, 4, 0))
    back = np.eye(4, dtype="f4")
    back[1, 3] = -1  # the bone stood at 1 when the skin was put on it
    bound = model.numbers(np.stack((np.eye(4, dtype="f4"), back)).transpose(0, 2, 1).copy())
    model.json["nodes"][own]["skin"] = model.add(
        "skins", {"joints": [root, bone], "inverseBindMatrices": bound}
    )
    model.json["scenes"][0]["nodes"] += [root, bone]
    assert assembled(model.glb()).points[:, 1].tolist() == [2, 2, 4, 4]


def test_a_back_is_seen_only_of_what_has_two_sides() -> None:
    for both, seen in ((True, True), (False, False)):
        model = Model()
        model.square(RED, node={"rotation": [0, 1, 0, 0]}, doubleSided=both)
        model.square(GREEN, node={"translation": [0, 0, -1], "scale": [0.1, 0.1, 0.1]})
        assert (share(poster(model), RED) > 0.2) is seen
    mirrored = Model()
    mirrored.square(RED, node={"scale": [-1, 1, 1]}, doubleSided=False)
    assert share(poster(mirrored), RED) > 0.2


def test_one_sees_through_glass_and_through_holes() -> None:
    for alpha, mode, wanted in (
        (0.0, "BLEND", GREEN),
        (0.2, "MASK", GREEN),
        (0.9, "MASK", RED),
        (0.0, "OPAQUE", RED),
    ):
        model = Model()
        model.square((1, 0, 0, alpha), node=moved(0, 0, 0.1), alphaMode=mode)
        model.square(GREEN)
        assert share(poster(model), wanted) > 0.2, (alpha, mode)
    layers = Model()
    for number in range(3):
        layers.square((1, 1, 1, 0.4), node=moved(0, 0, number / 10), alphaMode="BLEND")
    layers.square((0, 0, 0, 1), node=moved(0, 0, -0.1))
    veiled = middle(poster(layers))
    assert min(veiled) > 180  # 1 - 0.6 ** 3 of white light before black


def test_light_comes_from_the_left_and_from_above_and_makes_shadows() -> None:
    points, faces = ball(48)
    model = Model()
    model.mesh(faces, POSITION=points, NORMAL=points)
    picture = poster(model).sum(axis=2)
    assert picture[SIZE // 3, SIZE // 3] > 1.4 * picture[2 * SIZE // 3, 2 * SIZE // 3]
    floor = picture[SIZE - 14]
    assert floor[SIZE // 2 :].min() < floor[: SIZE // 4].min() - 60


def test_what_stands_in_the_light_of_something_is_in_its_shadow() -> None:
    model = Model()
    lying = [-np.sqrt(0.5), 0, 0, np.sqrt(0.5)]
    model.square(node={"rotation": lying, "scale": [3, 3, 3]})
    model.square(node={"rotation": lying, "translation": [0, 2, 0]})
    both = assembled(model.glb())
    above = np.array((0, 1, 0), "f4")
    lamp = hung(above, (both, both.points, np.ones(4, bool)), 256)
    floor = np.array(((0, 0, 0), (2, 0, 2), (-2.5, 0, 0)), "f4")
    assert lamp.reaches(floor, np.tile(above, (3, 1))).ravel().tolist() == [0, 1, 1]
    assert lamp.reaches(np.array(((0, 2, 0),), "f4"), above[None]).item() == 1  # none of its own
    assert lamp.shadow(np.array(((0, -5, 0),), "f4")).item() > 0.9


def test_metal_mirrors_what_plastic_does_not() -> None:
    points, faces = ball(48)

    def spread(metallic: float, roughness: float) -> float:
        model = Model()
        body = {"metallicFactor": metallic, "roughnessFactor": roughness}
        material = model.add("materials", {"pbrMetallicRoughness": body})
        model.mesh(faces, POSITION=points, NORMAL=points, primitive={"material": material})
        inside = poster(model)[SIZE // 4 : 3 * SIZE // 4, SIZE // 4 : 3 * SIZE // 4].sum(axis=2)
        return float(inside.std())

    assert spread(1, 0.1) > 1.5 * spread(0, 1)


def test_no_pixel_between_two_triangles_is_left_out() -> None:
    points, faces = ball(40)
    seen = Seen.nothing(SIZE)
    projected = ((points[:, :2] * 60 + 80).astype("f4"), (points[:, 2] + 2).astype("f4"))
    every = np.arange(len(faces) // 3)
    fill(seen, Corners.of(projected, faces.reshape(-1, 3), every, np.zeros(len(every), bool)))
    covered = seen.triangle.reshape(SIZE, SIZE) >= 0
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    assert covered[(x - 80) ** 2 + (y - 80) ** 2 < 58**2].all()
    assert not covered[(x - 80) ** 2 + (y - 80) ** 2 > 61**2].any()


def test_a_model_of_more_triangles_than_are_drawn_has_no_poster(monkeypatch: pytest.MonkeyPatch) -> None:
    points, faces = ball(20)
    model = Model()
    model.mesh(faces, POSITION=points)
    assert len(assembled(model.glb()).faces) == 800
    monkeypatch.setattr(scene, "TRIANGLES_MOST", 799)
    with pytest.raises(NothingToDraw):
        assembled(model.glb())


def test_what_takes_too_long_is_drawn_less_fine_or_not_at_all() -> None:
    def stacked(layers: int) -> scene.Scene:
        model = Model()
        for number in range(layers):
            model.square(RED, node=moved(0, 0, number / layers))
        return assembled(model.glb())

    few = stacked(4)
    area = SIZE * SIZE * 4
    for most, works in ((100 * area, True), (3 * area, True), (area // 4, False)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(studio, "PIXELS_MOST", most)
            patch.setattr(fill, "__defaults__", (None, most))
            if works:
                studio.photographed(few, SIZE)
            else:
                with pytest.raises(NothingToDraw):
                    studio.photographed(few, SIZE)


@pytest.mark.parametrize(
    "points",
    [np.zeros((4, 3), "f4"), np.full((4, 3), np.nan, "f4"), np.full((4, 3), np.inf, "f4"), CORNERS * 1e30],
)
def test_a_model_without_extent_has_no_poster(points: Any) -> None:
    model = Model()
    model.mesh(POSITION=points)
    with pytest.raises(NothingToDraw), np.errstate(all="ignore"):
        poster(model)


def test_a_model_whose_picture_is_made_for_graphics_cards_shows_its_colour() -> None:
    model = Model()
    model.mesh(POSITION=CORNERS, TEXCOORD_0=PLACES, primitive={"material": 0})
    source = model.add("images", {"bufferView": model.view(b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(200))})
    texture = model.add("textures", {"source": source})
    body = {"baseColorFactor": list(RED), "baseColorTexture": {"index": texture}}
    model.add("materials", {"pbrMetallicRoughness": body, "extensions": {"KHR_materials_unlit": {}}})
    assert share(poster(model), RED) > 0.25


def test_a_model_that_went_through_the_library_is_drawn() -> None:
    assert poster(kept(makers.glb(), "model/gltf-binary")).std() > 5

"""Drawing from nothing: areas and distances that geometry knows, and constraints that hold."""

import math

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.serialization import from_spec, to_spec
from synthgen.transforms import ImageRandom
from synthgen.transforms.drawing import (
    Anywhere,
    Apart,
    Choice,
    Disc,
    FitToBox,
    Gradient,
    Inside,
    Normal,
    Part,
    Plain,
    Polygon,
    Rectangle,
    RegularPolygon,
    Scene,
    Strokes,
    Texture,
    Thing,
    Uniform,
    Within,
)
from synthgen.transforms.raster import nearest_segment, pixel_centres, polygon_distance

SHAPE = (1, 60, 60)
BLACK, WHITE = Plain(0), Plain(255)


def scene(*shapes, placement=None, **settings):
    thing = Thing([Part(shape, WHITE) for shape in shapes], placement or Anywhere(size=0.4))
    return Scene(BLACK, {"thing": thing}, **settings)


def drawn(scene, count=4, shape=SHAPE):
    return (scene.draw(shape, torch.arange(count)) + 1) / 2


def area(scene, **settings):
    """In units of the thing's own size."""
    return drawn(scene, **settings).mean(dim=(1, 2, 3)) / 0.4**2


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Disc(), math.pi),
        (Disc(0.5, x=0.3, y=-0.2), math.pi / 4),
        (RegularPolygon(4, turn=17), 2.0),
        (RegularPolygon(8), 2 * math.sqrt(2)),
        (Rectangle(1.2, 0.8, x=0.2), 0.96),
        (Rectangle(1.0, 0.6, rounding=0.2), 1.0 * 0.6 + 2 * 0.2 * 1.6 + math.pi * 0.04),
        (Polygon([[-1, -1], [1, -1], [0, 1]]), 2.0),
        (Polygon([[-1, -1], [1, 1], [1, -1], [-1, 1]]), 2.0),  # crosses itself: an hourglass
        (Strokes([[[[-0.8, 0.1], [0.8, 0.1]]]], 0.2), 1.6 * 0.2 + math.pi * 0.01),
    ],
    ids=lambda value: type(value).__name__,
)
def test_areas_are_those_of_geometry(shape, expected):
    assert area(scene(shape)) == pytest.approx(torch.full((4,), expected), rel=0.02)


def test_a_turned_and_slanted_frame_keeps_areas():
    placement = Anywhere(size=0.3, angle=[0, 360], slant=[-0.5, 0.5], aspect=[0.7, 1.4])
    square = Polygon([[-0.7, -0.7], [0.7, -0.7], [0.7, 0.7], [-0.7, 0.7]])
    found = drawn(scene(square, placement=placement), 20).mean(dim=(1, 2, 3)) / 0.3**2
    assert found == pytest.approx(torch.full((20,), 1.96), rel=0.03)


def test_distances_are_exact():
    x, y = pixel_centres(40, 50)
    corners = torch.tensor([[[0.3, 0.3], [0.7, 0.3], [0.7, 0.6], [0.3, 0.6]]])
    found = polygon_distance(corners, x, y)[0]
    ax, ay = (x - 0.5).abs() - 0.2, (y - 0.45).abs() - 0.15
    outside = (ax.clamp_min(0).square() + ay.clamp_min(0).square()).sqrt()
    expected = outside + torch.maximum(ax.expand_as(outside), ay.expand_as(outside)).clamp_max(0)
    assert torch.allclose(found, expected, atol=1e-5)
    point = torch.tensor([[[0.2, 0.9]]])
    expected = ((x - 0.2).square() + (y - 0.9).square()).sqrt()
    assert torch.allclose(nearest_segment(point, point, x, y)[0], expected, atol=1e-6)


def test_strokes_go_through_their_points_and_corners_hold_together():
    points = [[-0.8, -0.5], [-0.2, 0.6], [0.4, -0.4]]
    strokes = Strokes([[points, [points[-1], [0.7, 0.8]]]], thickness=0.1, jitter=0.2)
    outline = strokes.outline(ImageRandom(range(200)))
    ends = outline.points.view(200, -1, 2, 2)
    assert torch.equal(ends[:, 9, 1], ends[:, 10, 0])  # the corner moves, but stays one point
    moved = ends[:, 0, 0] - torch.tensor(points[0])
    assert moved.std() == pytest.approx(0.2, rel=0.15)
    still = Strokes([[points]]).outline(ImageRandom([0])).points[0]
    for point in points:
        assert (still - torch.tensor(point)).norm(dim=1).min() < 1e-6


def test_variants_come_by_weight_and_do_not_mix():
    long, short = [[[-0.8, 0], [0.8, 0]]], [[[0, -0.1], [0, 0.1]], [[0, 0.1], [0.1, 0.2]]]
    found = area(scene(Strokes([long, short], 0.2, weights=[3, 1])), count=400)
    assert (found > 0.3).double().mean() == pytest.approx(0.75, abs=0.06)
    alone = area(scene(Strokes([long], 0.2)), count=1)
    assert found[found > 0.3] == pytest.approx(alone.expand(int((found > 0.3).sum())), abs=1e-6)


def test_fit_to_box_fills_the_box_and_centres_the_mass():
    strokes = Strokes([[[[3, 1], [9, 4], [2, 12]]], [[[0, 0], [5, 1]]]], [0.8, 2.0], jitter=0.5)
    images = drawn(scene(strokes, placement=FitToBox(0.7, slant=[-0.3, 0.3])), 50, (1, 80, 80))[
        :, 0
    ]
    for image in images:
        rows, columns = (image > 0.5).nonzero().unbind(1)
        extent = max(rows.max() - rows.min(), columns.max() - columns.min()) + 1
        assert abs(int(extent) - 56) <= 3
        mass = torch.stack([rows.double().mean(), columns.double().mean()])
        assert ((mass - 39.5).abs() < 4).all()


def circles(images):
    """Bounding boxes are enough: (left, top, right, bottom) of what is white."""
    rows, columns = (images > 0.5).nonzero().unbind(1)
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_inside_is_inside_and_without_it_things_stick_out():
    free = Thing([Part(Disc(), WHITE)], Anywhere([0, 1], [0, 1], size=0.2))
    held = Thing(free.parts, free.placement, constraints=[Inside(0.05)])
    areas = [drawn(Scene(BLACK, {"it": one}), 200).mean(dim=(1, 2, 3)) for one in (free, held)]
    assert areas[0].min() < 0.1
    assert areas[1].min() > 0.98 * math.pi * 0.04


def test_apart_things_do_not_overlap():
    def total(constraints):
        dots = Thing([Part(Disc(), WHITE)], Anywhere([0.1, 0.9], [0.1, 0.9], 0.1), 5, constraints)
        return drawn(Scene(BLACK, {"dots": dots}), 100).mean(dim=(1, 2, 3)) / (math.pi * 0.01)

    assert total([]).min() < 4.5
    assert total([Apart(0.02)]).min() > 4.9


def test_within_a_thing_in_front_or_behind():
    disc = Thing([Part(Disc(), Plain(100))], Anywhere([0.3, 0.7], [0.3, 0.7], 0.25))
    spot = Thing([Part(Disc(), WHITE)], Anywhere([0, 1], [0, 1], 0.05), [0, 1], [Within("disc")])
    behind = drawn(Scene(BLACK, {"spot": spot, "disc": disc}), 100)
    alone = drawn(Scene(BLACK, {"disc": disc}), 100)
    assert behind.amax() < 0.4  # placed after the disc, drawn before it
    assert not torch.equal(behind, alone)  # another element's stream places the disc


def test_copies_and_the_most_things_in_an_image():
    dots = Thing(
        [Part(Disc(), WHITE)], Anywhere([0, 1], [0, 1], 0.1), [0, 3.9], [Apart(), Inside()]
    )
    counts = (drawn(Scene(BLACK, {"dots": dots}), 400).mean(dim=(1, 2, 3)) / 0.0314).round()
    assert torch.bincount(counts.int()).tolist() == pytest.approx([100] * 4, abs=40)
    few = (drawn(Scene(BLACK, {"dots": dots}, at_most=1), 400).mean(dim=(1, 2, 3)) / 0.0314).round()
    assert set(few.tolist()) == {0.0, 1.0}


def test_what_cannot_be_placed_is_left_out_or_said():
    parts, much = [Part(Disc(), WHITE)], Anywhere(size=0.6)
    nothing = Scene(BLACK, {"it": Thing(parts, much, [0, 1], [Inside()])})
    assert drawn(nothing).amax() == 0
    with pytest.raises(SynthgenError, match="No place for 'it'"):
        drawn(Scene(BLACK, {"it": Thing(parts, much, 1, [Inside()])}))


def test_each_thing_has_its_own_random_numbers():
    """Adding a thing in front, or changing one, leaves the others where they are."""

    def build(size):
        return {
            "first": Thing([Part(Disc(), WHITE)], Anywhere([0, 0.4], [0, 1], 0.1)),
            "second": Thing([Part(Disc(), WHITE)], Anywhere([0.8, 1], [0, 1], size)),
        }

    one, two = (drawn(Scene(BLACK, build(size)), 20) for size in (0.1, 0.15))
    assert torch.equal(one[..., :32], two[..., :32])
    assert not torch.equal(one, two)


def test_paints():
    random = ImageRandom(range(3))
    plain = Plain([[100, 200], 0, 255]).fill((3, 4, 4), random)
    assert plain.shape == (3, 3, 1, 1)
    assert len(plain[:, 0].unique()) == 3
    assert (plain[:, 1] == -1).all()
    assert (plain[:, 2] == 1).all()
    down = Gradient(0, 255, 0).fill((1, 5, 5), random)[0, 0]
    assert down[:, 0] == pytest.approx(torch.linspace(-0.8, 1, 5), abs=0.15)
    assert (down.diff(dim=1).abs() < 1e-6).all()
    texture = Texture(50, 150).fill((1, 64, 64), random)
    assert texture.min() >= 50 / 127.5 - 1
    assert texture.max() <= 150 / 127.5 - 1
    assert texture.std() > 0.05
    red = Plain([255, 0, 0]).fill((1, 4, 4), random)
    assert red.flatten()[0] == pytest.approx(2 * 0.299 - 1, abs=1e-5)


def test_distributions():
    random = ImageRandom(range(4000))
    assert Uniform(2, 4).draw(random, 1).mean() == pytest.approx(3, abs=0.05)
    normal = Normal(1, 2).draw(random, 1)
    assert normal.mean() == pytest.approx(1, abs=0.1)
    assert normal.std() == pytest.approx(1.97, abs=0.1)
    assert (normal - 1).abs().max() <= 6.001
    counts = torch.bincount(Choice([0, 1, 2], [1, 0, 3]).draw(random, 1)[:, 0].int())
    assert counts.tolist() == pytest.approx([1000, 0, 3000], abs=120)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Uniform(2, 1), "low to high"),
        (lambda: Normal(0, -1), "std"),
        (lambda: Choice([1, 2], [1]), "weights"),
        (lambda: Thing([], copies=[2, 1]), "copies"),
        (lambda: drawn(scene(Disc([1, 2, 3]))), "two ends"),
    ],
)
def test_senseless_settings_are_refused(wrong, says):
    with pytest.raises(SynthgenError, match=says):
        wrong()


def test_a_scene_survives_being_written_down():
    shapes = [Disc([0.2, 0.5]), Strokes([[[[0, 0], [1, 1], [0.5, 0.2]]]], jitter=0.1)]
    first = scene(*shapes, placement=Anywhere(x=Normal(0.5, 0.1), size=[0.2, 0.4]))
    assert torch.equal(drawn(from_spec(to_spec(first))), drawn(first))

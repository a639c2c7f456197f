"""Networks of the Theano version compute what its layers computed.

What is expected is computed from the parameters as Theano stored them, by SciPy's
mathematical convolutions, in float64.
"""

import numpy as np
import pytest
from scipy import signal

from tests.convert.test_tbgan import write
from tf_faces.convert import tbgan as weights
from tf_faces.core.errors import FormatError
from tf_faces.core.pickles import writing
from tf_faces.pipelines.tbgan import importing

WIDTHS = {2: 6, 3: 4}
LATENTS = 5
OPTIONS = {
    "resolution": 8, "num_channels": 3, "fmap_base": 16, "fmap_max": 6,
    "use_gdrop": True, "mbstat_func": "Tstdeps",
}  # fmt: skip


def layers(scope):
    """Shapes of the kernels in the order of the pickle."""
    two, three = WIDTHS[2], WIDTHS[3]
    if scope == "D":
        return [
            (3, three), (three, three, 3, 3), (two, three, 3, 3), (3, two),
            (two, two + 1, 3, 3), (two, two, 4, 4), (two, 1),
        ]  # fmt: skip
    return [
        (two, LATENTS, 4, 4), (two, two, 3, 3), (three, two, 3, 3),
        (three, three, 3, 3), (three, 3), (two, 3),
    ]  # fmt: skip


def parameters(scope, scaled=True):
    """Kernel, scale and bias of every layer."""
    random = np.random.default_rng("G D Gs".split().index(scope))
    found = []
    for shape in layers(scope):
        outputs = shape[0] if len(shape) == 4 else shape[1]
        found.append(random.standard_normal(shape).astype(np.float32))
        if scaled:
            found.append(np.array(random.uniform(0.2, 0.4), np.float32))
        found.append(random.standard_normal(outputs).astype(np.float32) / 10)
    return found


def theano_state(scope, values=None, level=0.0, **changes):
    values = parameters(scope) if values is None else values
    function = "D_progressive_8" if scope == "D" else "G_progressive_8"
    options = {**OPTIONS, "func": function, **changes}
    if scope != "D":
        options.setdefault("latent_size", LATENTS)
    return {
        "build_module_src": "raise SystemExit('executed')",
        "build_func_spec": options,
        "param_values": [writing.array(value) for value in values],
        "toplevel_params": {"cur_lod": writing.array(np.array(level, np.float32))},
    }


def read(tmp_path, *states):
    path = write(tmp_path / "network-final.pkl", states, module="network")
    return weights.read_snapshot(path)


def convolved(maps, kernel, mode):
    """Maps [in, H, W] under mathematical convolution by kernels [out, in, h, w]."""
    return np.stack(
        [
            sum(signal.convolve2d(a, b, mode) for a, b in zip(maps, one, strict=True))
            for one in kernel
        ]
    )


def steps(values):
    """Yields functions that apply the next layer to maps, without its activation."""
    for kernel, scale, bias in zip(
        values[::3], values[1::3], values[2::3], strict=True
    ):
        kernel = kernel.astype(np.float64)
        if kernel.ndim == 2:
            kernel = kernel.T[:, :, None, None]

        def apply(maps, mode="same", kernel=kernel, scale=scale, bias=bias):
            return convolved(maps, kernel, mode) * scale + bias[:, None, None]

        yield apply


def leaky(maps):
    return np.maximum(maps, 0.2 * maps)


def normed(maps):
    return maps / np.sqrt(np.mean(np.square(maps), axis=0, keepdims=True) + 1e-8)


def test_generator(tmp_path):
    stored = read(tmp_path, theano_state("Gs"))["Gs"]
    assert stored.single_trunk and stored.level_of_detail == 0
    latents = np.random.default_rng(9).standard_normal((2, LATENTS))
    made = stored.build()(latents.astype(np.float32), np.zeros((2, 0), np.float32), 0.0)
    for latent, found in zip(latents, np.asarray(made), strict=True):
        dense, first, second, third, image, _ = steps(parameters("Gs"))
        maps = normed(leaky(dense(normed(latent[:, None, None]), "full")))
        maps = normed(leaky(first(maps)))
        maps = maps.repeat(2, axis=1).repeat(2, axis=2)
        maps = normed(leaky(third(normed(leaky(second(maps))))))
        np.testing.assert_allclose(np.moveaxis(found, -1, 0), image(maps), atol=1e-4)


def test_discriminator(tmp_path):
    stored = read(tmp_path, *(theano_state(scope) for scope in ("G", "D", "Gs")))["D"]
    images = np.random.default_rng(9).standard_normal((3, 3, 8, 8))
    seen = np.moveaxis(images, 1, -1).astype(np.float32)
    scores, _ = stored.build()(seen, 0.0)
    colours, first, second, _, third, dense, last = steps(parameters("D"))
    maps = []
    for image in images:
        one = leaky(second(leaky(first(leaky(colours(image))))))
        maps.append(one.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)))
    # One number for the whole minibatch: how much its samples differ.
    deviation = np.sqrt(np.var(maps, axis=0) + 1e-8).mean()
    for one, score in zip(maps, np.asarray(scores).ravel(), strict=True):
        one = np.concatenate([one, np.full((1, 4, 4), deviation)])
        one = leaky(dense(leaky(third(one)), "valid"))
        assert score == pytest.approx(last(one).item(), abs=1e-4)


def test_without_scales_and_between_sizes(tmp_path):
    """Without equalised rates kernels are as they were; the level is kept."""
    values = parameters("Gs", scaled=False)
    state = theano_state("Gs", values, 0.25, use_wscale=False)
    stored = read(tmp_path, state)["Gs"]
    assert stored.level_of_detail == 0.25
    generator = stored.build()
    assert not generator.config.use_wscale
    found = generator.variables_by_name()["8x8/Conv1/weight"]
    np.testing.assert_array_equal(
        found, values[6][:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
    )


def test_unknown_networks_are_left_out(tmp_path):
    """But the one that pictures are drawn of."""
    states = [theano_state(scope) for scope in ("G", "D", "Gs")]
    states[1]["build_func_spec"]["func"] = "D_mnist_mode_recovery"
    assert list(read(tmp_path, *states)) == ["G", "Gs"]
    states[2]["build_func_spec"]["func"] = "G_mnist_mode_recovery"
    with pytest.raises(FormatError, match="network Gs: is built by 'G_mnist_mode"):
        read(tmp_path, *states)


def test_import(tmp_path):
    states = [theano_state(scope) for scope in ("G", "D", "Gs")]
    path = write(tmp_path / "network-snapshot-010211.pkl", states, module="network")
    written = importing.import_snapshot(path, tmp_path / "run")
    assert written.name == "snapshot-010211000"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_size": 10}, "label_size=10, expected 0"),
        ({"tanh_at_end": 1.0}, "tanh_at_end=1.0, expected None"),
        ({"resolution": 12}, "resolution=12, expected a power of two"),
        ({"resolution": 16}, "parameter 12 has shape .*, expected 4 axes"),
        ({"resolution": 4}, "parameter 6 has shape"),
        ({"use_wscale": False}, r"parameter 1 has shape \[\] .*, expected 1 axes"),
    ],
)
def test_wrong_options(tmp_path, changes, message):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, theano_state("Gs", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"param_values": None}, "lacks a list of parameters"),
        ({"toplevel_params": []}, "lacks the level of detail"),
        ({"build_func_spec": 3}, "lacks the function that built it"),
    ],
)
def test_wrong_states(tmp_path, changes, message):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, theano_state("Gs") | changes)


def test_parameters_missing_or_left_over(tmp_path):
    values = parameters("Gs")
    with pytest.raises(FormatError, match="ends after 17 parameters"):
        read(tmp_path, theano_state("Gs", values[:-1]))
    with pytest.raises(FormatError, match="has 19 parameters, expected 18"):
        read(tmp_path, theano_state("Gs", [*values, values[-1]]))

"""torchvision's own nets beside ours: its state_dict, converted, gives the same scores."""

import caffe
import numpy as np
import pytest
from maap.nets.folder import find_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_deploy
from maap.weights.conversion import convert
from maap.weights.torch_file import read_torch
from maap.weights.torchvision import MEAN, STD

torch = pytest.importorskip("torch", reason="PyTorch is not here: tools/engine/torch installs it")
models = pytest.importorskip("torchvision.models")


def random_model(make, wide):
    """With statistics that are not 0 and 1, and hidden layers of ``wide`` instead of 4096."""
    torch.manual_seed(1)
    model = make(weights=None).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.3, 0.7)
            part.bias.data.normal_(0, 0.1)
    if hasattr(model, "classifier"):
        linear = [part for part in model.classifier if isinstance(part, torch.nn.Linear)]
        for part, begin in ((linear[0], False), (linear[1], True), (linear[2], True)):
            last = part is linear[2]
            part.weight.data = part.weight.data[: None if last else wide, : wide if begin else None]
            part.bias.data = part.bias.data[: None if last else wide]
    return model


def our_net(name, weights, wide, folder):
    """The deploy net with torchvision's classifier."""
    deploy = resolve_deploy(find_net(name), False, 1000, 1)
    for layer in deploy.layer:
        layer.name = dict(fc8_cub="fc8", fc_cub="fc1000").get(layer.name, layer.name)
        if layer.inner_product_param.num_output == 4096:
            layer.inner_product_param.num_output = wide
    write_text(deploy, folder / "net.prototxt")
    return caffe.Net(str(folder / "net.prototxt"), caffe.TEST, weights=str(weights))


@pytest.mark.parametrize(
    "name, scores",
    [("alexnet_tv", "fc8_cub"), ("vgg19_tv", "fc8_cub"), ("resnet152_tv", "fc_cub")],
)
def test_scores_are_those_of_torchvision(name, scores, tmp_path):
    model = random_model(getattr(models, name[: -len("_tv")]), 64)
    torch.save(
        model.state_dict(), tmp_path / "x.pth", _use_new_zipfile_serialization=name[0] != "r"
    )
    assert convert(tmp_path / "x.pth", tmp_path / "x.caffemodel") == name
    net = our_net(name, tmp_path / "x.caffemodel", 64, tmp_path)
    image = np.random.RandomState(2).randint(0, 256, (224, 224, 3)).astype(np.float64)  # R, G, B
    rgb = ((image / 255 - MEAN) / STD).transpose(2, 0, 1)[None]
    with torch.no_grad():
        wanted = model(torch.tensor(rgb, dtype=torch.float)).numpy()
    bgr = (image[:, :, ::-1] - 255 * np.array(MEAN)[::-1]).transpose(2, 0, 1)[None]
    net.forward(data=bgr)
    assert np.abs(net.blobs[scores].data - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save(zipped, tmp_path):
    """Views, parameters and all types, in both layouts; the pickle's newer protocols too."""
    base = torch.randn(4, 6)
    tensors = {
        "whole": base, "turned": base.t(), "part": base[1:3, ::2], "half": base.half(),
        "brain": base.bfloat16(), "double": base.double(), "long": torch.arange(5),
        "bool": torch.tensor([True, False]), "point": torch.tensor(3.5), "none": torch.zeros(0, 2),
        "byte": torch.arange(4, dtype=torch.uint8),
    }  # fmt: skip
    for protocol in (2, 4):
        torch.save(tensors, tmp_path / "x.pth", pickle_protocol=protocol,
                   _use_new_zipfile_serialization=zipped)  # fmt: skip
        found = read_torch(tmp_path / "x.pth")
        assert list(found) == list(tensors)
        for key, tensor in tensors.items():
            wanted = tensor.float() if key == "brain" else tensor
            assert np.array_equal(found[key], wanted.numpy()), key
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, tmp_path / "y.pth",
               _use_new_zipfile_serialization=zipped)  # fmt: skip
    assert list(read_torch(tmp_path / "y.pth")) == list(module.state_dict())
    parameters = dict(module.named_parameters())
    torch.save(parameters, tmp_path / "z.pth", _use_new_zipfile_serialization=zipped)
    assert np.array_equal(
        read_torch(tmp_path / "z.pth")["0.weight"], parameters["0.weight"].detach().numpy()
    )

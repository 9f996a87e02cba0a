"""Which pages of the documentation are made from the code, and by what."""

from functools import partial
from pathlib import Path
from typing import Callable

from reference import commands, headers, networks, protos, settings

PAGES: dict[str, Callable[[Path], str]] = {
    "reference/commands.md": commands.page,
    "reference/settings.md": settings.page,
    "reference/prototxt.md": protos.page,
    "reference/layers.md": headers.layers_page,
    "reference/cpp.md": headers.api_page,
    "reference/alexnet.md": partial(networks.page, network="alexnet"),
    "reference/vgg19.md": partial(networks.page, network="vgg19"),
    "reference/resnet152.md": partial(networks.page, network="resnet152"),
    "reference/squeezenet.md": partial(networks.page, network="squeezenet"),
    "reference/alexnet_tv.md": partial(networks.page, network="alexnet_tv"),
    "reference/vgg19_tv.md": partial(networks.page, network="vgg19_tv"),
    "reference/resnet152_tv.md": partial(networks.page, network="resnet152_tv"),
}

"""The repository's VGG19 and ResNet-152: the forward pass, gradients, and every shape of layer.

A ReLU's gradient jumps where its input is closer to zero than rounding, a max-pool's where two
values of a window are that close. At 224 x 224 a pass has 15 to 20 million such places, and a few
always are: of eight random images ResNet-152's gradients differed by 0.4 to 4% of the largest in
single values for every one, VGG19's at 64 x 64 move by 0.7 to 3% on one host where every pixel
changes by 3e-6 of itself, for four images in five. So ``_forward`` has 224 x 224 pixels, ``_pass``,
which also runs backward, 64 x 64 of an image without such a place, and ``_layers`` every layer at
its published size, forward and backward, with its own values and gradients: each shape and setting
once.
"""

from __future__ import annotations

from .case import Case

# These images' gradients stay within 6e-6 where every pixel changes by 5e-6 of itself (6 tries).
# The last pooling of ResNet-152 takes 7 x 7 maps; 64 x 64 images make 2 x 2 of them.
NETS = {
    "vgg19": ("VGG19", dict(side=64, image=15)),
    "resnet152": ("ResNet-152", dict(side=64, image=7, kernels={"pool5": 2})),
}
# The blobs that are kept: about one per stage.
BLOBS = {
    "vgg19": "conv1_1 conv1_2 pool1 conv2_2 conv3_1 conv3_4 conv4_2 conv4_4 conv5_1 conv5_4 pool5 "
    "fc6 fc7 fc8_cub loss",
    "resnet152": "conv1 pool1 res2a_branch1 res2a res2c res3b7_branch2a res3b7 res4b2_branch2b "
    "res4b17 res4b35_branch2b res4b35 res5c pool5 fc_cub loss",
}
INPUTS = {"data": ("uniform", -1.7, 1.7), "label": ("int", 0, 200)}


def cases() -> list[Case]:
    out = []
    for net, (group, small) in NETS.items():
        settings = {"file": f"prototxt/{net}/train_val.prototxt", "keep": BLOBS[net].split()}
        whole = {**settings, "side": 224, "image": 0}
        for name, kind, more in (
            (f"{net}_forward", "deep_forward", whole),
            (f"{net}_pass", "deep_pass", {**settings, **small}),
            (f"{net}_layers", "deep_layers", whole),
        ):
            out.append(Case(name, group, kind, inputs=INPUTS, settings=more))
    return out

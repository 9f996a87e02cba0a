"""Nets for NetSpec, written in as many ways as people do. Python 3.9; BVLC Caffe runs this, too."""

import caffe
from caffe import layers as L
from caffe import params as P


def lenet():
    n = caffe.NetSpec()
    n.data, n.label = L.Data(
        source="mnist_lmdb",
        backend=P.Data.LMDB,
        batch_size=64,
        ntop=2,
        transform_param=dict(scale=1.0 / 255, mirror=True, mean_value=[104, 117, 123]),
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.ip1 = L.InnerProduct(
        n.pool1,
        num_output=500,
        weight_filler=dict(type="gaussian", std=0.01),
        bias_filler=dict(type="constant", value=1),
        param=[dict(lr_mult=1, decay_mult=1), dict(lr_mult=2, decay_mult=0)],
    )
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.drop1 = L.Dropout(n.relu1, dropout_ratio=0.5, in_place=True)
    n.score = L.InnerProduct(n.drop1, num_output=10, weight_filler=dict(type="xavier"))
    n.accuracy = L.Accuracy(n.score, n.label, include=dict(phase=caffe.TEST))
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_weight=0.5)
    return n.to_proto()


def automatic_names():
    data, label = L.Data(source="x", backend=P.Data.LMDB, batch_size=4, ntop=2)
    conv1 = L.Convolution(data, kernel_size=3, num_output=2, name="mine")
    conv2 = L.Convolution(conv1, kernel_size=[3, 4], num_output=2)
    relu = L.ReLU(conv2, in_place=True)
    pool = L.Pooling(relu, pool=P.Pooling.AVE, kernel_size=2)
    loss = L.SoftmaxWithLoss(pool, label)
    return caffe.to_proto(loss, L.Silence(data, name="quiet", ntop=1))


def several_tops():
    n = caffe.NetSpec()
    n.data, n.label = L.Data(source="x", ntop=2, include=dict(phase=0))
    n.a, n.b, n.c = L.Slice(n.data, ntop=3, slice_point=[1, 2])
    n["x/y"] = L.Concat(n.a, n.b, name="cc")
    n.quiet = L.Silence(n.c, ntop=0)
    n.e = L.Eltwise(n["x/y"], n["x/y"], operation=P.Eltwise.SUM, coeff=[1, -1])
    n.acc = L.Accuracy(
        n.e,
        n.label,
        include=[dict(phase=1, stage=["a"]), dict(phase=0)],
        accuracy_param=dict(top_k=5),
    )
    n.py = L.Python(n.e, module="m", layer="K", param_str=str({"a": 1}))
    return n.to_proto()


def every_kind_of_parameter():
    n = caffe.NetSpec()
    first, _ = L.Input(input_param=dict(shape=[dict(dim=[1, 2]), dict(dim=[3])]), ntop=2)
    n.ip = L.InnerProduct(first, num_output=3, bias_term=False, param=dict(lr_mult=0))
    n.relu = L.ReLU(n.ip, negative_slope=0.1, in_place=False)
    n.named = L.Dropout(n.relu, in_place=True, name="zz")
    n.p = L.Power(n.named, power=2.0, scale=1e-6, shift=1)
    n.r = L.Reshape(n.p, shape=dict(dim=[0, -1]))
    n.bn = L.BatchNorm(n.r, use_global_stats=True)
    n.s = L.Scale(n.bn, bias_term=True, in_place=True)
    n.rd = L.Reduction(n.s, operation=P.Reduction.ASUM)
    n.dc = L.Deconvolution(
        n.rd, convolution_param=dict(kernel_size=4, stride=2, num_output=3, pad=1)
    )
    n.hl = L.HingeLoss(n.dc, n.rd, norm=P.HingeLoss.L2)
    n.cr = L.Crop(n.dc, n.rd, axis=2, offset=[3, 4])
    n.lstm = L.LSTM(
        n.cr,
        n.r,
        recurrent_param=dict(num_output=3, weight_filler=dict(type="uniform", min=-0.1, max=0.1)),
    )
    n.f = L.Filter(n.lstm, exclude=dict(stage="x"), propagate_down=[True, False])
    return n.to_proto()


def order_of_assignment():
    n = caffe.NetSpec()
    n.a = L.Input(shape=dict(dim=[1]))
    n.also_a = n.a
    x = L.ReLU(n.also_a, in_place=True, name="r1")
    y = L.ReLU(x, in_place=True)
    n.z = L.ReLU(y)
    n.w = L.Split(L.Input(shape=dict(dim=[1])), ntop=2)[1]
    n.v = L.ReLU(n.w)
    n.a = L.Input(shape=dict(dim=[2]), name="replaced")
    return n.to_proto()


def residual():
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 3, 224, 224]))
    top = L.Convolution(n.data, num_output=64, kernel_size=7, pad=3, stride=2, bias_term=False)
    for block in "abc":
        branch = top
        for part in (1, 2):
            name = f"res{block}_branch{part}"
            conv = L.Convolution(
                branch,
                num_output=64,
                kernel_size=3,
                pad=1,
                bias_term=False,
                weight_filler=dict(type="msra", variance_norm=P.Filler.FAN_OUT),
            )
            n[name] = conv
            norm = L.BatchNorm(conv, in_place=True)
            n[name + "_bn"] = norm
            n[name + "_scale"] = L.Scale(norm, bias_term=True, in_place=True)
            branch = n[name + "_scale"]
        top = L.ReLU(L.Eltwise(top, branch), in_place=True)
        n["res" + block] = top
    n.pool = L.Pooling(top, global_pooling=True, pool=P.Pooling.AVE)
    return n.to_proto()


def coordinate_maps():
    """What coord_map says of layers, and an FCN's crop. Returns lists of numbers."""
    from caffe import coord_map as cm

    x, y = L.Input(), L.Input()
    kernels = [
        L.Convolution(x, kernel_size=3, stride=2, pad=1),
        L.Convolution(x, kernel_size=[3, 5]),
        L.Pooling(x, kernel_size=2, stride=2),
        L.Convolution(x, kernel_size=3, dilation=2),
        L.Deconvolution(x, convolution_param=dict(kernel_size=4, stride=2, pad=1)),
        L.Convolution(x, convolution_param=dict(kernel_size=[3], stride=[2], pad=[1])),
        L.Crop(x, y, axis=2, offset=[3, 4]),
        L.ReLU(x),
    ]
    found = []
    for top in kernels:
        axis, scale, shift = cm.coord_map(top.fn)
        found.append([axis, _plain(scale), _plain(shift)])
    data = L.Input()
    conv = L.Convolution(data, kernel_size=3, pad=100)
    pool = L.Pooling(L.ReLU(conv, in_place=True), kernel_size=2, stride=2)
    up = L.Deconvolution(
        L.Convolution(pool, kernel_size=1), convolution_param=dict(kernel_size=4, stride=2)
    )
    for one, other in [(up, data), (data, up), (pool, data)]:
        axis, scale, shift = cm.coord_map_from_to(one, other)
        found.append([axis, _plain(scale), _plain(shift)])
    crop = cm.crop(up, data).fn.params["crop_param"]
    found.append([crop["axis"], 1, [int(value) for value in crop["offset"]]])
    return found


def _plain(number):
    return [float(value) for value in number] if hasattr(number, "__len__") else float(number)


SPECS = [
    lenet,
    automatic_names,
    several_tops,
    every_kind_of_parameter,
    order_of_assignment,
    residual,
]

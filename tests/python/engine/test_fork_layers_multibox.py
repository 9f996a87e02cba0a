"""MultiBoxLoss beside its rules in NumPy, for each of its options."""

import caffe
import numpy as np
import pytest
from fork_nets import difference, forward, gradients, load, one
from ssd_rules import CLASSES, COUNT, DEFAULTS, MultiBox, predictions, truths, uniform

CASES = [
    dict(),
    dict(mining_type="NONE"),
    dict(mining_type="HARD_EXAMPLE", sample_size=12),
    dict(mining_type="HARD_EXAMPLE", sample_size=12, nms=0.4),
    dict(nms=0.4, use_prior_for_nms=True),
    dict(nms=0.4, code_type="CENTER_SIZE"),
    dict(code_type="CENTER_SIZE", loc_weight=2.5, neg_overlap=0.2),
    dict(code_type="CORNER_SIZE", loc_loss_type="L2", neg_pos_ratio=1.3),
    dict(code_type="CENTER_SIZE", encode_variance_in_target=True),
    dict(code_type="CORNER", encode_variance_in_target=True, mining_type="NONE"),
    dict(match_type="BIPARTITE", use_difficult_gt=False),
    dict(overlap_threshold=0.3, conf_loss_type="LOGISTIC"),
    dict(conf_loss_type="LOGISTIC", mining_type="NONE", map_object_to_agnostic=True),
    dict(share_location=False, mining_type="NONE"),
    dict(share_location=False, mining_type="NONE", use_prior_for_matching=False),
    dict(use_prior_for_matching=False, code_type="CENTER_SIZE"),
    dict(ignore_cross_boundary_bbox=True, overlap_threshold=0.3),
    dict(bp_inside=True, overlap_threshold=0.2),
    dict(bp_inside=True, use_prior_for_matching=False, overlap_threshold=0.2),
]


def multi_box_arrays(shared, images=4):
    arrays = predictions(images, CLASSES, shared)
    arrays["conf"] = uniform(images, COUNT * CLASSES, seed=21, low=-3, high=3)
    arrays["truth"] = truths(images)
    return arrays


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
@pytest.mark.parametrize("normalization", ["VALID", "FULL"])
def test_multi_box_loss(case, normalization):
    arrays = multi_box_arrays(case.get("share_location", True))
    expected = MultiBox(arrays, **case)
    assert expected.matches > 0
    nms = f"nms_param {{ nms_threshold: {case['nms']} }}" if "nms" in case else ""
    fields = [f"{key}: {value}" for key, value in case.items() if key != "nms"]
    fields = " ".join(fields).replace("True", "true").replace("False", "false")
    text = one(
        "MultiBoxLoss",
        f"multibox_loss_param {{ num_classes: {CLASSES} {fields} {nms} }} "
        f"loss_param {{ normalization: {normalization} }} "
        "propagate_down: [true, true, false, false]",
        arrays,
    )
    net = load(text)
    found = forward(net, arrays)
    by = expected.matches if normalization == "VALID" else len(arrays["loc"]) * COUNT
    weight = {**DEFAULTS, **case}["loc_weight"]
    loss = (weight * expected.sum_loc + expected.sum_conf) / by
    assert difference(found, np.array(loss)) < 1e-6
    down = gradients(net, 1, ("loc", "conf"))
    for ours, theirs in zip(down, (expected.d_loc, expected.d_conf)):
        assert difference(ours, theirs.reshape(ours.shape) / by) < 2e-6


def test_all_options_of_the_loss_are_tried():
    fields = caffe.proto.caffe_pb2.MultiBoxLossParameter.DESCRIPTOR.fields_by_name
    tried = {"num_classes", "background_label_id", "do_neg_mining", "nms_param"}
    assert set(fields) - tried - {"ignore_difficult_gt"} == set(DEFAULTS)
    assert set(DEFAULTS) <= {key for case in CASES for key in case}

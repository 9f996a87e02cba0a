"""caffe.proto.caffe_pb2: message classes without generated code."""

import copy
import csv
import pickle
import subprocess
import sys
from pathlib import Path

import google.protobuf
import pytest
from caffe.proto import caffe_pb2, maap_pb2
from google.protobuf import text_format

FACTS = Path(__file__).resolve().parents[2] / "facts"


def test_every_message_field_and_enum_is_there():
    with open(FACTS / "caffe_proto_fields.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 300
    for row in rows:
        name = row["message"].removeprefix("caffe.")
        message = caffe_pb2
        for part in name.split("."):
            message = getattr(message, part)
        assert message.DESCRIPTOR.fields_by_name[row["field"]].number == int(row["number"])
        assert hasattr(message(), row["field"])


def test_enums():
    assert (caffe_pb2.TRAIN, caffe_pb2.TEST) == (0, 1)
    assert caffe_pb2.Phase.Name(1) == "TEST"
    assert caffe_pb2.Phase.Value("TRAIN") == 0
    assert caffe_pb2.PoolingParameter.AVE == 1
    assert caffe_pb2.PoolingParameter.PoolMethod.Name(2) == "STOCHASTIC"
    assert caffe_pb2.V1LayerParameter.LayerType.Name(4) == "CONVOLUTION"
    assert maap_pb2.EliminationParameter.REDUCE == 3
    assert caffe_pb2.DESCRIPTOR.package == "caffe"


def test_messages_of_this_fork():
    layer = caffe_pb2.LayerParameter(name="e")
    layer.elimination_param.a_star = maap_pb2.EliminationParameter.REDUCE
    assert "a_star: REDUCE" in str(layer)
    assert type(layer.elimination_param) is maap_pb2.EliminationParameter
    assert caffe_pb2.ConvolutionParameter.ONEDNN == 3


def test_messages_copy_pickle_and_travel():
    net = caffe_pb2.NetParameter(name="n")
    net.layer.add(name="a", type="ReLU", blobs=[caffe_pb2.BlobProto(data=[1.5])])
    assert copy.deepcopy(net) == net
    assert pickle.loads(pickle.dumps(net)) == net
    rule = caffe_pb2.NetStateRule(stage=["x"])
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert caffe_pb2.NetParameter.FromString(net.SerializeToString()) == net
    assert text_format.Parse(text_format.MessageToString(net), caffe_pb2.NetParameter()) == net
    assert net.__class__.__module__ == "caffe.proto.caffe_pb2"
    assert net.__class__.__qualname__ == "NetParameter"


def test_messages_need_no_engine():
    program = (
        "from maap.util.schema import caffe_pb2; import sys; "
        "assert 'caffe._caffe' not in sys.modules; print(caffe_pb2.NetParameter(name='x'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == 'name: "x"\n\n', done.stderr


def test_another_caffe_proto_in_the_process():
    """Another package may have registered a caffe.proto of its own in protobuf's pool."""
    program = """
from google.protobuf import descriptor_pb2, descriptor_pool
file = descriptor_pb2.FileDescriptorProto(name="caffe/proto/caffe.proto", package="caffe")
file.message_type.add(name="NetParameter")
descriptor_pool.Default().Add(file) if hasattr(descriptor_pool.Default(), "Add") else \\
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
from caffe.proto import caffe_pb2
assert caffe_pb2.NetParameter(name="x").name == "x"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.skipif(
    int(google.protobuf.__version__.split(".")[0]) < 4, reason="3.20 has the slow implementation"
)
def test_the_fast_implementation_is_used():
    from google.protobuf.internal import api_implementation

    assert api_implementation.Type() == "upb"

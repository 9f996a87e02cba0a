"""Small nets that several tests use."""

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }'

# data (2 x 3) -> ip (2 x 4) -> relu in place -> prob
CHAIN = (
    'name: "chain" force_backward: true '
    + INPUT
    + """
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" }
                              bias_filler { type: "constant" value: 0.5 } } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
)

# What a solver can train: random inputs, two classes.
TRAIN = """
layer { name: "data" type: "DummyData" top: "data" top: "label"
        dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
                           data_filler { type: "gaussian" } data_filler { type: "constant" } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def python_net(layer, module="engine_layers", param_str="", extra=""):
    """data (2 x 3) -> the Python layer -> y."""
    return (
        "force_backward: true "
        + INPUT
        + f"""
layer {{ name: "py" type: "Python" bottom: "data" top: "y" {extra}
        python_param {{ module: "{module}" layer: "{layer}" param_str: "{param_str}" }} }}
"""
    )

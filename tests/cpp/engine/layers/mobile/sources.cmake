# Tests of caffe/layers/mobile. One file in a line.
list(APPEND fork_layer_tests
  layers/mobile/test_axpy_layer.cpp
  layers/mobile/test_depthwise_layers.cpp
  layers/mobile/test_gated_layers.cpp
  layers/mobile/test_relu6_layer.cpp
  layers/mobile/test_reorg_layer.cpp
  layers/mobile/test_shuffle_layers.cpp
)

# Tests of caffe/layers/geometry. One file in a line.
list(APPEND fork_layer_tests
  layers/geometry/test_attention_crop_layer.cpp
  layers/geometry/test_correlation_layer.cpp
  layers/geometry/test_spatial_transformer_layer.cpp
)

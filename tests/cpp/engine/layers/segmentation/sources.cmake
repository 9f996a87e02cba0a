# Tests of caffe/layers/segmentation. One file in a line.
list(APPEND fork_layer_tests
  layers/segmentation/test_bn_layer.cpp
  layers/segmentation/test_interp_layer.cpp
  layers/segmentation/test_unpooling_layer.cpp
  layers/segmentation/test_upsample_layer.cpp
)

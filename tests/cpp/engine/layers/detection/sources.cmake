# Tests of caffe/layers/detection. One file in a line.
list(APPEND fork_layer_tests
  layers/detection/test_boxes.cpp
)

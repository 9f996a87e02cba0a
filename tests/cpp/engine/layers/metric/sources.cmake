# Tests of caffe/layers/metric. One file in a line.
list(APPEND fork_layer_tests
  layers/metric/test_center_loss_layer.cpp
  layers/metric/test_focal_loss_layer.cpp
  layers/metric/test_l1_loss_layer.cpp
  layers/metric/test_scale_rank_loss_layer.cpp
  layers/metric/test_triplet_loss_layer.cpp
)

# Tests of caffe/layers/detection. One file in a line.
list(APPEND fork_layer_tests
  layers/detection/test_annotated_data_layer.cpp
  layers/detection/test_annotations.cpp
  layers/detection/test_box_annotator_ohem_layer.cpp
  layers/detection/test_boxes.cpp
  layers/detection/test_detection_evaluate_layer.cpp
  layers/detection/test_detection_files.cpp
  layers/detection/test_detection_output_layer.cpp
  layers/detection/test_multibox_loss_layer.cpp
  layers/detection/test_normalize_layer.cpp
  layers/detection/test_permute_layer.cpp
  layers/detection/test_prior_box_layer.cpp
  layers/detection/test_proposal_layer.cpp
  layers/detection/test_psroi_pooling_layer.cpp
  layers/detection/test_roi_pooling_layer.cpp
  layers/detection/test_smooth_l1_loss_layer.cpp
  layers/detection/test_smooth_l1_loss_ohem_layer.cpp
  layers/detection/test_softmax_loss_ohem_layer.cpp
)

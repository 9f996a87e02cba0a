# Layers of SSD, Fast and Faster R-CNN, R-FCN. One file in a line.
list(APPEND cu
  layers/detection/detection_output_layer.cu
  layers/detection/multibox_loss_layer.cu
  layers/detection/normalize_layer.cu
  layers/detection/permute_layer.cu
  layers/detection/prior_box_layer.cu
  layers/detection/psroi_pooling_layer.cu
  layers/detection/roi_pooling_layer.cu
  layers/detection/smooth_l1_loss_layer.cu
  layers/detection/smooth_l1_loss_ohem_layer.cu
)
list(APPEND cpp
  layers/detection/anchors.cpp
  layers/detection/annotated_data_layer.cpp
  layers/detection/annotations.cpp
  layers/detection/box_annotator_ohem_layer.cpp
  layers/detection/boxes.cpp
  layers/detection/detection_evaluate_layer.cpp
  layers/detection/detection_files.cpp
  layers/detection/ground_truth.cpp
  layers/detection/mining.cpp
  layers/detection/proposal_layer.cpp
  layers/detection/softmax_loss_ohem_layer.cpp
)

# Layers of SSD, Fast and Faster R-CNN, R-FCN. One file in a line.
list(APPEND cu
  layers/detection/psroi_pooling_layer.cu
  layers/detection/roi_pooling_layer.cu
)
list(APPEND cpp
  layers/detection/anchors.cpp
  layers/detection/boxes.cpp
  layers/detection/proposal_layer.cpp
)

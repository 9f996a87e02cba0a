# Layers of SSD, Fast and Faster R-CNN, R-FCN. One file in a line.
list(APPEND cu
)
list(APPEND cpp
  layers/detection/boxes.cpp
)

# Layers of DeepLab, PSPNet, SegNet, ENet, DeconvNet. One file in a line.
list(APPEND cu
)
list(APPEND cpp
)

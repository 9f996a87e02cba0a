# Layers of small networks: MobileNet, ShuffleNet, SENet, YOLO's Reorg. One file in a line.
list(APPEND cu
)
list(APPEND cpp
)

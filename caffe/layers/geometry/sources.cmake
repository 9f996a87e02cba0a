# Layers that sample at computed places. One file in a line.
list(APPEND cu
)
list(APPEND cpp
)

// A library with the layer LeastSquares, for the command line's -layers.

#include "tests/cpp/engine/solvers/least_squares.hpp"

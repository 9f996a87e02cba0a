#ifndef CAFFE_PARALLEL_MPI_PLUGIN_HPP_
#define CAFFE_PARALLEL_MPI_PLUGIN_HPP_

// What libcaffe.so calls in libcaffe_mpi.so.

#include <string>

#include "caffe/parallel/mpi.hpp"

extern "C" {

/// Starts MPI and returns its ranks; null with an empty text if there is one rank only, null with
/// the reason if it fails.
typedef caffe::Communicator* CaffeMpiJoin(const caffe::Launch& launch, std::string* error);
CaffeMpiJoin caffe_mpi_join;

/// Waits until the others leave as well, and ends MPI; the ranks can be used no longer.
typedef void CaffeMpiLeave(caffe::Communicator* ranks);
CaffeMpiLeave caffe_mpi_leave;
}

#endif  // CAFFE_PARALLEL_MPI_PLUGIN_HPP_

#ifndef CAFFE_PARALLEL_MPI_PLUGIN_HPP_
#define CAFFE_PARALLEL_MPI_PLUGIN_HPP_

// What libcaffe.so calls in libcaffe_mpi.so.

#include <string>

#include "caffe/parallel/mpi.hpp"

extern "C" {

/// Starts MPI and returns its ranks; null with an empty text if there is one rank only, null with
/// the reason if it fails. To delete the ranks is to leave: it waits for the others and ends MPI.
typedef caffe::Communicator* CaffeMpiJoin(const caffe::Launch& launch, std::string* error);
CaffeMpiJoin caffe_mpi_join;
}

#endif  // CAFFE_PARALLEL_MPI_PLUGIN_HPP_

#ifndef CAFFE_PARALLEL_MPI_HPP_
#define CAFFE_PARALLEL_MPI_HPP_

// Ranks that are processes, started by MPI's launcher (mpirun, srun).
//
// libcaffe.so does not need MPI: machines without it run the same library. What calls MPI is a
// library of its own, libcaffe_mpi.so, which lies beside libcaffe.so and is loaded if the
// environment says that a launcher started this process with others. A launched process that
// cannot join the others is an error: N trainings that know nothing of each other would write the
// same snapshots.

#include <functional>
#include <memory>
#include <string>

#include "caffe/parallel/communicator.hpp"

namespace caffe {

/// What the environment says of the launcher that started this process.
struct Launch {
  std::string launcher;  // "Open MPI", "Slurm" ...; "" if none did
  int rank = 0;
  int size = 1;  // 0: the launcher does not say
};

/// `variable` returns a variable's value, or null. Variables of the launcher nearest to the process
/// count: mpirun's, then those of a job around it. CAFFE_RANKS=off hides all.
Launch find_launch(const std::function<const char*(const char*)>& variable);
/// Of this process. From the moment it has joined the others, programs that it starts find none.
Launch find_launch();

/// The ranks that a launcher started this process with; null if there are none, or just this one.
/// The same object in every call. The first call is collective, and waits for the others. When
/// the process ends, it waits for the others as well. An Error if they cannot be joined, or in a
/// forked child.
std::shared_ptr<Communicator> world_communicator();

/// Makes the calling thread this process's rank: solver_count, solver_rank and multiprocess; and
/// process-wide, in a rank other than 0, only errors are logged. If the user has not chosen a
/// number of threads (OMP_NUM_THREADS, OPENBLAS_NUM_THREADS), the ranks that may use the same cores
/// share them evenly, and all ranks take the smallest share of all. The first call in a process is
/// collective; later ones, of other threads for example, are not, and share nothing again.
void prepare_process(Communicator* ranks);

/// "rank 2 of 4"
std::string rank_name(int rank, int size);

}  // namespace caffe

#endif  // CAFFE_PARALLEL_MPI_HPP_

#include "caffe/parallel/mpi.hpp"

#include <gtest/gtest.h>

#include <map>

#include "caffe/util/error.hpp"

namespace caffe {
namespace {

Launch launch_in(const std::map<std::string, std::string>& environment) {
  return find_launch([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

void expect_launch(const std::map<std::string, std::string>& environment,
                   const std::string& launcher, int rank, int size) {
  const Launch launch = launch_in(environment);
  EXPECT_EQ(launch.launcher, launcher);
  EXPECT_EQ(launch.rank, rank);
  EXPECT_EQ(launch.size, size);
}

TEST(MpiLaunch, IsNoneByDefault) {
  expect_launch({}, "", 0, 1);
  expect_launch({{"OMP_NUM_THREADS", "4"}}, "", 0, 1);
}

TEST(MpiLaunch, KnowsLaunchersByTheirVariables) {
  expect_launch({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}}, "Open MPI", 2, 4);
  expect_launch({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}}, "MPICH", 0, 3);
  expect_launch({{"MV2_COMM_WORLD_RANK", "1"}, {"MV2_COMM_WORLD_SIZE", "2"}}, "MVAPICH", 1, 2);
  expect_launch({{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "8"}}, "Slurm", 5, 8);
  expect_launch({{"FLUX_TASK_RANK", "1"}, {"FLUX_JOB_SIZE", "2"}}, "Flux", 1, 2);
  expect_launch({{"PMIX_RANK", "1"}}, "PMIx", 1, 0);
}

TEST(MpiLaunch, TakesNoScriptOfAJobForARank) {
  expect_launch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}, "", 0, 1);
}

TEST(MpiLaunch, TakesTheLauncherNearestToTheProcess) {
  expect_launch({{"SLURM_PROCID", "0"},
                 {"SLURM_STEP_NUM_TASKS", "1"},
                 {"OMPI_COMM_WORLD_RANK", "3"},
                 {"OMPI_COMM_WORLD_SIZE", "4"},
                 {"PMIX_RANK", "3"}},
                "Open MPI", 3, 4);
}

TEST(MpiLaunch, IgnoresWhatIsNoNumber) {
  expect_launch({{"PMI_RANK", "x"}, {"PMI_SIZE", "3"}}, "", 0, 1);
  expect_launch({{"PMI_RANK", "0"}, {"PMI_SIZE", ""}}, "", 0, 1);
  expect_launch({{"PMI_RANK", "-1"}, {"PMI_SIZE", "3"}}, "", 0, 1);
}

TEST(MpiLaunch, CanBeSwitchedOff) {
  expect_launch(
      {{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"CAFFE_RANKS", "off"}}, "", 0,
      1);
  EXPECT_THROW(launch_in({{"CAFFE_RANKS", "4"}}), Error);
}

TEST(MpiLaunch, NamesARank) {
  EXPECT_EQ(rank_name(2, 4), "rank 2 of 4");
}

}  // namespace
}  // namespace caffe

"""The mistakes that tests/faults/run makes, and the test that must find each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """An edit of one file, and the test that fails because of it.

    edits: (old, new) texts; each old one occurs once. program: a test program, with `test` as its
    filter, or "pytest", with `test` as its argument. build: fork or shadow.
    """

    name: str
    what: str
    file: str
    edits: tuple[tuple[str, str], ...]
    test: str
    program: str = "engine_tests"
    build: str = "shadow"

    @property
    def targets(self) -> list[str]:
        return ["engine"] if self.program == "pytest" else [self.program]

    def command(self, folder: Path) -> list[str]:
        if self.program == "pytest":
            return ["python3", "-m", "pytest", "-x", "-q", self.test]
        where = FOLDERS.get(self.program, "tests/cpp")
        return [str(folder / where / self.program), f"--gtest_filter={self.test}"]


#: Of the test programs that are not in tests/cpp.
FOLDERS = {"engine_tests": "tests/cpp/engine", "shadow_engine_tests": "tests/cpp/shadow"}

THRESHOLDS, COMPONENTS = "kernels/thresholds.hpp", "kernels/components.hpp"
ATTENTION = "kernels/attention_tiles.hpp"
SYNC = "  team.sync();\n"
SYNCED, CONTEXT = "caffe/syncedmem.cpp", "caffe/util/gpu_context.cpp"
TRAINING = "tests/python/gpu/test_training.py"
PYCAFFE = "tests/python/gpu/test_pycaffe.py"

FAULTS = [
    # ---- kernels: teams and their threads
    Fault(
        "sync-histogram",
        "no sync() between clearing the histogram and counting",
        THRESHOLDS,
        (("[i % kBins] = 0;\n" + SYNC + "  count_bins", "[i % kBins] = 0;\n  count_bins"),),
        "EliminationTest*",
    ),
    Fault(
        "sync-histogram-threads",
        "the same, among real threads",
        THRESHOLDS,
        (("[i % kBins] = 0;\n" + SYNC + "  count_bins", "[i % kBins] = 0;\n  count_bins"),),
        "Team.OfSeveralThreads*",
        "team_race_tests",
        "fork",
    ),
    Fault(
        "sync-runs",
        "no sync() between cutting rows into runs and joining them",
        COMPONENTS,
        (("cut_row(plane, threshold, w, y);\n" + SYNC, "cut_row(plane, threshold, w, y);\n"),),
        "EliminationTest*",
    ),
    Fault(
        "sync-joined",
        "no sync() between joining runs and adding up areas",
        COMPONENTS,
        (("join_rows(team, w, corners, y);\n" + SYNC, "join_rows(team, w, corners, y);\n"),),
        "Team.OfSeveralThreads*",
        "team_race_tests",
        "fork",
    ),
    Fault(
        "sync-mean",
        "no sync() between the sums of a map's rows and their sum",
        THRESHOLDS,
        (("      sums[k] = sum;\n    }\n  " + SYNC, "      sums[k] = sum;\n    }\n"),),
        "Team.OfSeveralThreads*",
        "team_race_tests",
        "fork",
    ),
    Fault(
        "sync-tile",
        "no sync() between the parts of a tile's sum and their sum",
        ATTENTION,
        (("= part;\n    team.sync();\n", "= part;\n"),),
        "EnhancementTest*",
    ),
    Fault(
        "atomic",
        "an atomic addition made a plain one",
        THRESHOLDS,
        (
            (
                "for (; k < size; ++k) team.add(&copies[(first + k) % kCopies][bin[k]], 1);",
                "for (; k < size; ++k) copies[(first + k) % kCopies][bin[k]] += 1;",
            ),
        ),
        "Team.OfSeveralThreads*",
        "team_race_tests",
        "fork",
    ),
    Fault(
        "past-the-end",
        "a tile's last thread writes one element past the end",
        ATTENTION,
        (("inside = pixel < s.pixels;", "inside = pixel <= s.pixels;"),),
        "EnhancementTest*",
    ),
    Fault(
        "past-the-end-threads",
        "the same, under the address sanitizer",
        ATTENTION,
        (("inside = pixel < s.pixels;", "inside = pixel <= s.pixels;"),),
        "Team.OfATile*",
        "team_bounds_tests",
        "fork",
    ),
    Fault(
        "order-of-a-sum",
        "a sum over channels in the order in which threads arrive",
        ATTENTION,
        (
            (
                "    parts[place(group)] = part;\n",
                "    int* const arrived = reinterpret_cast<int*>(parts + kTeam);\n"
                "    if (group == 0) arrived[lane] = 0;\n"
                "    team.sync();\n"
                "    team.add(&arrived[lane], 0);  // others may go first\n"
                "    const int turn = __atomic_fetch_add(&arrived[lane], 1, __ATOMIC_RELAXED);\n"
                "    parts[place(turn)] = part;\n",
            ),
        ),
        f"{TRAINING}::test_what_the_streams_leave_open_changes_nothing",
        "pytest",
    ),
    Fault(
        "host-pointer",
        "a layer gives a kernel the CPU's values",
        "caffe/layers/relu_layer.cu",
        (
            (
                "    const T* const dy = values.diff(*top[0]);\n",
                "    values.diff(*top[0]);\n"
                "    const T* const dy = reinterpret_cast<const T*>(top[0]->cpu_diff());\n",
            ),
        ),
        "ReLULayerTest*",
    ),
    # ---- memory, streams, threads
    Fault(
        "missing-mark",
        "mutable_gpu_data() does not note that the GPU has the newest values",
        SYNCED,
        (("  has_changed(HEAD_AT_GPU);\n  return gpu_.get();", "  return gpu_.get();"),),
        "BlobOnDevice*",
    ),
    Fault(
        "copy-not-awaited",
        "device::copy() to memory of the host returns before the values are there",
        "caffe/util/device_memory.cpp",
        (("  if (copy.has_host()) wait();\n", ""),),
        "BlobOnDevice*",
    ),
    Fault(
        "upload-not-awaited",
        "the CPU writes to memory that is still being uploaded",
        SYNCED,
        (("  if (upload_ != nullptr) finish_upload();\n", ""),),
        "BlobOnDevice*",
    ),
    Fault(
        "wait-between-threads",
        "a thread does not wait for the stream that wrote the memory it reads",
        "caffe/util/gpu_usage.cpp",
        (
            (
                "if (writer != nullptr && writer != context) context->wait_for(writer);",
                "(void)writer, (void)context;",
            ),
        ),
        "GpuContextTest.AReaderWaitsForTheThreadThatWrote",
        "shadow_engine_tests",
    ),
    Fault(
        "event-not-awaited",
        "an event is recorded and nothing waits for it",
        CONTEXT,
        (
            (
                'check_gpu(cudaStreamWaitEvent(stream, event_, 0), "waiting for another stream");',
                "(void)stream;",
            ),
        ),
        "GpuContextTest.*",
        "shadow_engine_tests",
    ),
    Fault(
        "use-after-free",
        "memory is freed on a stream that does not wait for its users",
        CONTEXT,
        (("cudaFreeAsync(memory, stream_)", "cudaFreeAsync(memory, copy_stream())"),),
        "GpuContextTest.MemoryIsFreedAfterItsLastUse",
        "shadow_engine_tests",
    ),
    Fault(
        "wrong-stream-kernels",
        "kernels run on the stream for copies",
        CONTEXT,
        (
            (
                "maap::set_current_stream(here->stream_)",
                "maap::set_current_stream(here->copy_stream())",
            ),
        ),
        "InnerProductLayerTest*",
    ),
    Fault(
        "wrong-stream-products",
        "cuBLAS works on the stream for copies",
        CONTEXT,
        (("cublasSetStream(made, stream_)", "cublasSetStream(made, copy_stream())"),),
        "InnerProductLayerTest*",
    ),
    Fault(
        "shared-workspace",
        "two threads' streams use one workspace at the same time",
        "caffe/util/gpu_context.hpp",
        (
            (
                "  void* workspace(size_t bytes) { return room(bytes, &workspace_); }",
                "  void* workspace(size_t bytes) {\n    static Room shared;\n"
                "    return room(bytes, &shared);\n  }",
            ),
        ),
        f"{PYCAFFE}::test_threads_with_a_net_each",
        "pytest",
    ),
    # ---- data, values that come late, layouts
    Fault(
        "hand-over",
        "the net does not wait for a batch that a data layer's thread uploads",
        "caffe/util/upload.cpp",
        (("  device::wait_for(sent_);\n", ""),),
        "UploadTest*:DataLayerTest*",
    ),
    Fault(
        "hand-back",
        "a data layer's thread uploads over a batch that the net still reads",
        "caffe/util/upload.cpp",
        (("  device::wait_for(given_back_, stream);\n", ""),),
        "UploadTest*:DataLayerTest*",
    ),
    Fault(
        "late-values",
        "the loss is read before its copy has arrived",
        "caffe/util/late_values.cpp",
        (
            (
                "device::copy(chunk.host.get(), chunk.gpu.get(), chunk.used);",
                "device::copy_async(chunk.host.get(), chunk.gpu.get(), chunk.used);",
            ),
        ),
        "LateValuesTest*",
    ),
    Fault(
        "between-gpus",
        "a copy between two GPUs is made like any other",
        "caffe/util/device_memory.cpp",
        (("    if (is_between_gpus()) {", "    if (false) {"),),
        "GpuContextTest.ABlockMovesToTheGpuOfItsThread",
        "shadow_engine_tests",
    ),
    Fault(
        "foreign-stream",
        "the values of another GPU are read with a stream of the thread's own",
        "caffe/util/device_memory.cpp",
        (("if (is_between_gpus() || owner == kHost || owner == mine.device()) return", "return"),),
        "GpuContextTest.AThreadReadsAndWritesWhatIsOnAnotherGpu",
        "shadow_engine_tests",
    ),
    Fault(
        "pinned-too-early",
        "pinned memory is used again while a copy reads it",
        "caffe/util/gpu_pinned.cpp",
        (("(mine == nullptr || mine->finish()) && ", "mine == mine && "),),
        "GpuContextTest.PinnedMemory*",
        "shadow_engine_tests",
    ),
    Fault(
        "stale-foreign-copy",
        "plain values are written and the copy with its channels last stays current",
        SYNCED,
        (("  foreign_is_current_ = false;\n  twin_.reset();", "  twin_.reset();"),),
        "ChannelsLastTest*",
    ),
    Fault(
        "early-sums",
        "gradients are added up before they are complete",
        "caffe/parallel/nccl_rank.cpp",
        (
            (
                '  check_gpu(cudaStreamWaitEvent(stream_, ready_, 0), "waiting for gradients");\n',
                "",
            ),
        ),
        "Seeds/NcclTest.AddsUp*",
        "shadow_engine_tests",
    ),
    Fault(
        "early-update",
        "the update does not wait for the sums",
        "caffe/parallel/nccl_rank.cpp",
        (("cudaStreamWaitEvent(GpuContext::current().stream(), done_, 0)", "cudaSuccess"),),
        "Seeds/NcclTest.AddsUp*",
        "shadow_engine_tests",
    ),
    Fault(
        "late-sums",
        "sums start only when the backward pass has ended",
        "caffe/parallel/data_parallel.cpp",
        (("  if (!is_last_pass_) return;\n", "  if (layer >= 0) return;\n"),),
        "GpuRanks.TheSumOfTheLastLayers*",
        "shadow_engine_tests",
    ),
    Fault(
        "first-sums",
        "the first iteration's sums start while its kernels are loaded",
        "caffe/parallel/gradient_sums.cpp",
        (("  bool has_waited_ = false;\n", "  bool has_waited_ = true;\n"),),
        "GpuRanks.TheFirstIterationsSums*:GpuRanks.NoKernel*",
        "shadow_engine_tests",
    ),
    Fault(
        "first-update",
        "the host does not wait for the first iteration's sums",
        "caffe/parallel/gradient_sums.cpp",
        (("    sums_->wait();\n    device::wait();\n", "    sums_->wait();\n"),),
        "GpuRanks.NoKernel*",
        "shadow_engine_tests",
    ),
    Fault(
        "first-barrier",
        "the first iteration's sums do not wait until all ranks have computed",
        "caffe/parallel/gradient_sums.cpp",
        (("    device::wait();\n    ranks_->barrier();\n", ""),),
        "GpuRanks.TheFirstIterationsSums*",
        "shadow_engine_tests",
    ),
    Fault(
        "early-shared-sums",
        "a shared parameter's sum starts when the last layer that uses it has run",
        "caffe/parallel/gradient_buckets.cpp",
        (
            (
                "      first[params[i]] = layer;\n",
                "      if (first[params[i]] < 0) first[params[i]] = layer;\n",
            ),
        ),
        "GradientBuckets*",
        build="fork",
    ),
    Fault(
        "own-history",
        "a rank begins with a history of its own",
        "caffe/solvers/solver_state.cpp",
        (("  for (const auto& blob : history_) ranks->broadcast(blob.get());\n", ""),),
        "DataParallelTest/0.RanksBegin*",
        build="fork",
    ),
    Fault(
        "own-crops",
        "a rank numbers its images without the other ranks'",
        "caffe/layers/base_data_layer.cpp",
        (("first_ + i * step_", "first_ + i"),),
        "RecordOrder*",
        build="fork",
    ),
    Fault(
        "waiting-more",
        "an iteration waits twice instead of once",
        "caffe/util/late_values.cpp",
        (
            (
                "  placed_ = 0;\n  std::vector<Entry>",
                "  placed_ = 0;\n  device::wait();\n  std::vector<Entry>",
            ),
        ),
        "TrainingCounts*",
    ),
]

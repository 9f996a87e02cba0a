// The caffe command, started as by a user.

#include <regex>
#include <sstream>

#include "command_test.hpp"

namespace caffe {

namespace {

class CaffeCommand : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    write("net.prototxt",
          "name: 'least' layer { name: 'fit' type: 'LeastSquares' top: 'loss' loss_weight: 1 }");
    write("solver.prototxt",
          "net: 'net.prototxt' base_lr: 0.125 lr_policy: 'fixed' momentum: 0.5 max_iter: 4 "
          "display: 2 snapshot_prefix: 's' test_iter: 2 test_interval: 4 solver_mode: CPU");
  }
  /// Runs caffe, with the layer LeastSquares.
  Finished command(const std::string& arguments) const {
    return shell("caffe " + arguments + " -layers " + LEAST_SQUARES_LIBRARY);
  }
};

}  // namespace

TEST_F(CaffeCommand, TrainsAndLogsInCaffesForm) {
  const Finished run = command("train -solver solver.prototxt");
  EXPECT_EQ(run.status, 0);
  EXPECT_LOGGED(run, "Use CPU.");
  EXPECT_LOGGED(run, "Creating training net from net file: net.prototxt");
  EXPECT_LOGGED(run, "] Starting Optimization\n");
  EXPECT_LOGGED(run, "] Iteration 4, Testing net (#0)\n");
  EXPECT_LOGGED(run, "] Optimization Done.\n");
  const std::regex line(
      "[IWE]\\d{4} \\d\\d:\\d\\d:\\d\\d\\.\\d{6} +\\d+ [a-z_]+\\.(cpp|hpp|cu):\\d+\\] .*");
  std::istringstream lines(run.log);
  int logged = 0;
  for (std::string one; std::getline(lines, one);) logged += std::regex_match(one, line);
  EXPECT_GT(logged, 20) << run.log;
  NetParameter model;
  ReadProtoFromBinaryFile(path("s_iter_4.caffemodel"), &model);
  EXPECT_EQ(model.layer_size(), 1);
}

TEST_F(CaffeCommand, ResumesAndFinetunes) {
  EXPECT_EQ(command("train -solver solver.prototxt").status, 0);
  const Finished resumed = command("train -solver solver.prototxt -snapshot s_iter_4.solverstate");
  EXPECT_EQ(resumed.status, 0);
  EXPECT_LOGGED(resumed, "] Resuming from s_iter_4.solverstate\n");
  EXPECT_LOGGED(resumed, "] Iteration 4, Testing net (#0)\n");
  const Finished tuned = command("train -solver solver.prototxt -weights s_iter_4.caffemodel");
  EXPECT_EQ(tuned.status, 0);
  EXPECT_LOGGED(tuned, "] Finetuning from s_iter_4.caffemodel\n");
  const Finished both = command("train -solver solver.prototxt -weights a -snapshot b");
  EXPECT_EQ(both.status, 1);
  EXPECT_LOGGED(both, "not both");
}

TEST_F(CaffeCommand, NamesSnapshotsAfterTheSolver) {
  write("my.solver.prototxt",
        "net: 'net.prototxt' base_lr: 0.125 lr_policy: 'fixed' max_iter: 2 solver_mode: CPU");
  EXPECT_EQ(command("train -solver my.solver.prototxt").status, 0);
  for (const std::string name : {"my.solver_iter_2.caffemodel", "my.solver_iter_2.solverstate"}) {
    EXPECT_NE(read(name), "") << name;
  }
  write("in_folder.prototxt", read("my.solver.prototxt") + " snapshot_prefix: 'models'");
  EXPECT_EQ(shell("mkdir models").status, 0);
  EXPECT_EQ(command("train -solver in_folder.prototxt").status, 0);
  EXPECT_NE(read("models/in_folder_iter_2.caffemodel"), "");
}

TEST_F(CaffeCommand, SaysWhichOfItsFilesWereMixedUp) {
  EXPECT_EQ(command("train -solver solver.prototxt").status, 0);
  const auto message = [this](const std::string& arguments) { return command(arguments).log; };
  const std::string model = "s_iter_4.caffemodel", state = "s_iter_4.solverstate";
  EXPECT_PRED2(contains, message("train -solver solver.prototxt -snapshot " + model),
               model + ": is not a solver state; it is a net's weights. A snapshot's state is in");
  EXPECT_PRED2(contains, message("train -solver solver.prototxt -weights " + state),
               "it is a solver state");
  EXPECT_PRED2(contains, message("train -solver net.prototxt"), "not of a solver");
  EXPECT_PRED2(contains, message("time -model solver.prototxt"), "give the net's, 'net.prototxt'");
  EXPECT_PRED2(contains, message("time -model " + model), "is a binary file, not a prototxt");
  EXPECT_PRED2(contains, message("test -model net.prototxt -weights net.prototxt"), "it is text");
}

TEST_F(CaffeCommand, TestsAModel) {
  EXPECT_EQ(command("train -solver solver.prototxt").status, 0);
  const Finished run =
      command("test -model net.prototxt -weights s_iter_4.caffemodel -iterations 2");
  EXPECT_EQ(run.status, 0);
  EXPECT_LOGGED(run, "] Running for 2 iterations.\n");
  EXPECT_LOGGED(run, "] Batch 1, loss = ");
  std::smatch batch0, batch1, mean;
  const std::string number = "([-+.e0-9]+)";
  ASSERT_TRUE(std::regex_search(run.log, batch0, std::regex("Batch 0, loss = " + number)));
  ASSERT_TRUE(std::regex_search(run.log, batch1, std::regex("Batch 1, loss = " + number)));
  ASSERT_TRUE(std::regex_search(
      run.log, mean, std::regex("\\] loss = " + number + " \\(\\* 1 = " + number + " loss\\)")));
  EXPECT_NEAR(std::stod(mean[1]), (std::stod(batch0[1]) + std::stod(batch1[1])) / 2, 1e-5);
  EXPECT_LOGGED(run, "] Loss: " + mean[1].str());
}

TEST_F(CaffeCommand, TimesANet) {
  const Finished run = command("time -model net.prototxt -iterations 3");
  EXPECT_EQ(run.status, 0);
  const std::string ms = "[-+.e0-9]+ ms\\.\n";
  for (const std::string& pattern :
       {std::string("\\] \\*\\*\\* Benchmark begins \\*\\*\\*\n"),
        "\\] Iteration: 3 forward-backward time: " + ms, "\\]        fit\tforward: " + ms,
        "\\]        fit\tbackward: " + ms, "\\] Average Forward pass: " + ms,
        "\\] Average Backward pass: " + ms, "\\] Average Forward-Backward: " + ms,
        std::string("\\] Average layout reorders: 0 per pass\\.\n"), "\\] Total Time: " + ms,
        std::string("\\] Peak memory: [0-9]+ MB resident; blobs [0-9.]+ MB at a time, "
                    "[0-9.]+ MB without sharing memory\n"),
        std::string("\\] \\*\\*\\* Benchmark ends \\*\\*\\*\n")}) {
    EXPECT_TRUE(std::regex_search(run.log, std::regex(pattern))) << pattern << run.log;
  }
}

TEST_F(CaffeCommand, TimesForwardPassesOnly) {
  const Finished run = command("time -model net.prototxt -phase TEST -forward_only -iterations 2");
  EXPECT_EQ(run.status, 0) << run.log;
  EXPECT_LOGGED(run, "] Iteration: 2 forward time: ");
  EXPECT_LOGGED(run, "] Peak memory: ");
  EXPECT_EQ(run.log.find("ackward pass"), std::string::npos) << run.log;
}

TEST_F(CaffeCommand, AnErrorIsOneLineAndStatus1) {
  for (const char* arguments :
       {"trian", "train", "train -solver none.prototxt", "train extra", "test -model net.prototxt",
        "time", "time -model net.prototxt -phase BOTH", "time -model net.prototxt -dialect none",
        "time -model net.prototxt -math FP32", "time -model net.prototxt -math FP16",
        "device_query -gpu x", "train -solver solver.prototxt -sigint_effect jump",
        "train -solver solver.prototxt -gpu 0,1"}) {
    const Finished run = command(arguments);
    EXPECT_EQ(run.status, 1) << arguments << run.log;
    if (std::string(arguments) == "train extra") continue;  // the usage, as Caffe does
    EXPECT_TRUE(std::regex_search(run.log, std::regex("\nE[^\n]*\\] error: [^\n]*\n$")) ||
                std::regex_search(run.log, std::regex("^E[^\n]*\\] error: [^\n]*\n$")))
        << arguments << run.log;
  }
  const Finished unknown_layer = shell("caffe train -solver solver.prototxt");
  EXPECT_EQ(unknown_layer.status, 1);
  EXPECT_LOGGED(unknown_layer, "error: layer 'fit': unknown layer type 'LeastSquares'");
  EXPECT_LOGGED(command("time -model net.prototxt -dialect segnett"),
                "error: unknown dialect 'segnett'; did you mean 'segnet'? (known: ssd, ");
  const Finished usage = shell("caffe");
  EXPECT_EQ(usage.status, 0);
  EXPECT_LOGGED(usage, "usage: caffe <command> <args>");
  EXPECT_LOGGED(usage, "-sighup_effect");
}

TEST_F(CaffeCommand, SnapshotsOnHangupAndStopsOnInterrupt) {
  write("solver.prototxt",
        "net: 'net.prototxt' base_lr: 0.125 lr_policy: 'fixed' max_iter: 100000000 display: 0 "
        "snapshot_prefix: 's' solver_mode: CPU test_iter: 1 test_interval: 100000000");
  const std::string wait_for =
      "for i in $(seq 12000); do grep -q \"$w\" out && break; sleep 0.05; done";
  const Finished run = shell(std::string("caffe train -solver solver.prototxt -layers ") +
                             LEAST_SQUARES_LIBRARY + " 2> out & p=$!; w='Testing net'; " +
                             wait_for + "; kill -HUP $p; " + "w='Snapshotting solver state'; " +
                             wait_for + "; kill -INT $p; wait $p; s=$?; cat out; exit $s");
  EXPECT_EQ(run.status, 0);
  EXPECT_LOGGED(run, "] Optimization stopped early.\n");
  EXPECT_LOGGED(run, "] Optimization Done.\n");
  const std::regex snapshot("Snapshotting solver state to binary proto file s_iter_(\\d+)");
  std::vector<int> iterations;
  for (std::sregex_iterator it(run.log.begin(), run.log.end(), snapshot), end; it != end; ++it) {
    iterations.push_back(std::stoi((*it)[1]));
  }
  ASSERT_EQ(iterations.size(), 2u) << run.log;
  EXPECT_LT(iterations[0], iterations[1]);
}

}  // namespace caffe

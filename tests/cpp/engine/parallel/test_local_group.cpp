#include "caffe/parallel/local_group.hpp"

#include <chrono>
#include <cstring>

#include "fixtures.hpp"
#include "parallel/ranks.hpp"

namespace caffe {
namespace {

typedef std::shared_ptr<Communicator> Rank;

/// Expects that no rank fails.
void all_well(int n, const std::function<void(Rank)>& body) {
  for (const string& error : run_ranks(n, body)) EXPECT_EQ(error, "");
}

TEST(LocalGroup, NumbersItsRanks) {
  EXPECT_ERROR(LocalGroup::make(0), "a group of 0 ranks");
  const auto ranks = LocalGroup::make(3);
  ASSERT_EQ(ranks.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ranks[i]->rank(), i);
    EXPECT_EQ(ranks[i]->size(), 3);
    EXPECT_EQ(ranks[i]->local_rank(), i);
    EXPECT_EQ(ranks[i]->local_size(), 3);
  }
}

TEST(LocalGroup, OneRankIsAGroup) {
  all_well(1, [](Rank rank) {
    float values[] = {1, 2};
    rank->sum(2, values);
    EXPECT_EQ(values[1], 2);
    rank->broadcast(0, sizeof values, values);
    EXPECT_EQ(rank->gather("me"), std::vector<std::string>{"me"});
    rank->barrier();
    rank->wait();
  });
}

TEST(LocalGroup, BroadcastsAndGathers) {
  all_well(4, [](Rank rank) {
    for (int root = 0; root < 4; ++root) {
      int value = 100 * root + rank->rank();
      rank->broadcast(root, sizeof value, &value);
      EXPECT_EQ(value, 101 * root);
    }
    const auto all = rank->gather(std::string(rank->rank(), 'x'));
    ASSERT_EQ(all.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(all[i], std::string(i, 'x'));
    rank->broadcast(2, 0, nullptr);
  });
}

template <typename T>
class LocalGroupTest : public ::testing::Test {};
TYPED_TEST_SUITE(LocalGroupTest, Dtypes);

/// A value whose sum depends on the order of the ranks.
template <typename T>
T uneven(int rank, size_t i, size_t sum) {
  return static_cast<T>((rank % 2 == 0 ? 1e8 : -1e8) / (rank + 1.0) + 0.1 * i + sum);
}

TYPED_TEST(LocalGroupTest, AddsUpInTheOrderOfTheRanks) {
  const size_t sizes[] = {1, 0, 5000, 4096, 12289};
  all_well(4, [&](Rank rank) {
    std::vector<std::vector<TypeParam>> sums;
    for (size_t k = 0; k < 5; ++k) {
      sums.emplace_back();
      for (size_t i = 0; i < sizes[k]; ++i) {
        sums[k].push_back(uneven<TypeParam>(rank->rank(), i, k));
      }
    }
    for (auto& sum : sums) rank->start_sum(sum.size(), sum.data());  // all before the first wait
    rank->wait();
    for (size_t k = 0; k < 5; ++k) {
      for (size_t i = 0; i < sizes[k]; ++i) {
        TypeParam expected = uneven<TypeParam>(0, i, k);
        for (int r = 1; r < 4; ++r) expected += uneven<TypeParam>(r, i, k);
        ASSERT_EQ(sums[k][i], expected) << k << " " << i;
      }
    }
  });
}

TEST(LocalGroup, ASumNeedsNobodyToWait) {
  std::atomic<int> started{0};
  all_well(3, [&](Rank rank) {
    double value = rank->rank();
    if (rank->rank() > 0) {  // the others go on before rank 0 has come
      rank->start_sum(1, &value);
      ++started;
    } else {
      while (started < 2) std::this_thread::yield();
      rank->start_sum(1, &value);
    }
    double more = 1;
    rank->start_sum(1, &more);
    rank->barrier();
    rank->wait();
    EXPECT_EQ(value, 3);
    EXPECT_EQ(more, 3);
  });
}

TEST(LocalGroup, ManyCallsInTurn) {
  all_well(3, [](Rank rank) {
    std::vector<float> values(10);
    for (int turn = 0; turn < 300; ++turn) {
      values.assign(10, static_cast<float>(turn + rank->rank()));
      rank->sum(values.size(), values.data());
      ASSERT_EQ(values[9], 3 * turn + 3);
      if (turn % 7 != 0) continue;
      ASSERT_EQ(rank->gather(std::to_string(turn))[2], std::to_string(turn));
    }
  });
}

TEST(LocalGroup, AbortEndsTheOthersCalls) {
  for (int how = 0; how < 4; ++how) {
    const auto errors = run_ranks(3, [how](Rank rank) {
      float values[100] = {};
      if (rank->rank() == 1) {
        if (how == 3) rank->start_sum(100, values);  // it takes its sum back
        rank->abort("rank 1 ended: no more data");
        return;
      }
      if (how == 0) rank->barrier();
      if (how == 1) rank->gather("");
      rank->sum(100, values);
      rank->wait();
      if (how == 3) rank->barrier();
    });
    EXPECT_EQ(errors[0], "rank 1 ended: no more data") << how;
    EXPECT_EQ(errors[1], "") << how;
    EXPECT_EQ(errors[2], "rank 1 ended: no more data") << how;
  }
}

/// All ranks get a sum to which all have come, however soon one of them fails afterwards.
TEST(LocalGroup, ACompleteSumIsEverybodys) {
  std::atomic<bool> is_aborted{false};
  const auto errors = run_ranks(2, [&](Rank rank) {
    double value = 1;
    rank->start_sum(1, &value);
    if (rank->rank() == 1) {
      rank->wait();
      rank->abort("too late");
      is_aborted = true;
      return;
    }
    while (!is_aborted) std::this_thread::yield();
    rank->wait();
    EXPECT_EQ(value, 2);
    rank->wait();
  });
  EXPECT_EQ(errors[0], "too late");
}

TEST(LocalGroup, TheFirstAbortIsTheReason) {
  std::atomic<bool> is_first{true};
  const auto errors = run_ranks(3, [&](Rank rank) {
    if (rank->rank() == 2) {
      rank->abort("the reason");
      is_first = false;
    }
    while (is_first) std::this_thread::yield();
    if (rank->rank() == 1) rank->abort("a consequence");
    rank->barrier();
  });
  for (const string& error : errors) EXPECT_EQ(error, "the reason");
}

TEST(LocalGroup, ARankThatHasEndedIsNamed) {
  const auto errors = run_ranks(3, [](Rank rank) {
    rank->barrier();
    if (rank->rank() == 2) return;
    rank->barrier();
  });
  for (int i = 0; i < 2; ++i) EXPECT_PRED2(contains, errors[i], "rank 2 has ended");
}

TEST(LocalGroup, DifferentCallsAreAnErrorOnAllRanks) {
  const auto errors = run_ranks(2, [](Rank rank) {
    std::vector<float> values(10 + rank->rank());
    rank->sum(values.size(), values.data());
  });
  EXPECT_PRED2(contains, errors[0], "the ranks make different calls: a sum of 1");
  EXPECT_EQ(errors[0], errors[1]);
}

TEST(LocalGroup, AbortWhileOthersAreInTheMiddle) {
  for (int turn = 0; turn < 50; ++turn) {
    const auto errors = run_ranks(4, [turn](Rank rank) {
      std::vector<float> values(1 << 14, 1);
      for (int i = 0;; ++i) {
        if (rank->rank() == turn % 4 && i == turn) return rank->abort("enough");
        rank->start_sum(values.size(), values.data());
        if (i % 3 == 2) rank->wait();
      }
    });
    for (int i = 0; i < 4; ++i) EXPECT_EQ(errors[i], i == turn % 4 ? "" : "enough");
  }
}

}  // namespace
}  // namespace caffe

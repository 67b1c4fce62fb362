#include "sample.hpp"

#include <csignal>
#include <fstream>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace phoenix::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

int operations_left = 0;

void die_when_counted_down(const char*, const std::string&) {
    if (operations_left-- == 0) raise(SIGKILL);
}

/// Runs `body` in a child; its status as of waitpid.
template <typename Body>
int in_child(Body&& body) {
    const pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

std::vector<std::string> names_in(const std::string& directory) { return list(directory).value(); }

TEST(CheckpointDeath, AtEveryFileOperationTheLastGoodOneStaysAndARepetitionCompletes) {
    const Sample older = make_sample(6);
    const Sample newer = make_sample(6, plain_shape, 1, 200);
    const Sample newest = make_sample(6, plain_shape, 1, 300);
    int deaths = 0;
    for (int operation = 0;; ++operation) {
        const TemporaryDirectory directory;
        ASSERT_TRUE(older.write(directory.path(), 2));
        ASSERT_TRUE(newer.write(directory.path(), 2));
        // With `kept` = 1 both older ones are pruned at its end, so deaths during that are tried too.
        const int status = in_child([&] {
            operations_left = operation;
            file_operation_hook = die_when_counted_down;
            if (!newest.write(directory.path(), 2, 1)) _exit(9);
        });
        auto opened = open_latest(directory.path(), newest.expectation());
        ASSERT_TRUE(opened) << "death at operation " << operation << ": " << opened.error().sentence;
        EXPECT_TRUE(opened->skipped.empty()) << "a final name was not complete at operation " << operation;
        const bool renamed = opened->reader.cut().step == 300;
        expect_same(opened->reader, renamed ? newest : newer, 0);
        if (WIFEXITED(status)) {
            ASSERT_EQ(WEXITSTATUS(status), 0);
            EXPECT_TRUE(renamed);
            break;
        }
        ++deaths;
        const auto repeated = newest.write(directory.path(), 2, 1);
        ASSERT_TRUE(repeated) << "after a death at operation " << operation << ": " << repeated.error().sentence;
        EXPECT_THAT(names_in(directory.path()), testing::ElementsAre("step-000000000300.g0"));
        EXPECT_THAT(names_in(*repeated),
                    testing::ElementsAre("MANIFEST.json", "master.h5", "part-0000.h5", "part-0001.h5"));
        auto again = open_latest(directory.path(), newest.expectation());
        ASSERT_TRUE(again) << again.error().sentence;
        expect_same(again->reader, newest, 0);
    }
    EXPECT_GT(deaths, 40);
}

TEST(CheckpointDeath, APartWhoseRepetitionDiesStaysAsItWas) {
    const Sample sample = make_sample(6);
    const PartRange all{0, 0, 6};
    bool died = true;
    for (int operation = 0; died; ++operation) {
        const TemporaryDirectory directory;
        ASSERT_TRUE(write_part(directory.path(), sample.cut, all, sample.views(all)));
        died = WIFSIGNALED(in_child([&] {
            operations_left = operation;
            file_operation_hook = die_when_counted_down;
            if (!write_part(directory.path(), sample.cut, all, sample.views(all))) _exit(9);
        }));
        const auto finished = finish(directory.path(), sample.cut, {.parts = 1});
        ASSERT_TRUE(finished) << "after a death at operation " << operation << ": " << finished.error().sentence;
        auto opened = open_latest(directory.path(), sample.expectation());
        ASSERT_TRUE(opened) << opened.error().sentence;
        expect_same(opened->reader, sample, 0);
    }
}

TEST(CheckpointDeath, KilledFromOutsideAtAnyMomentWhatWasFinishedIsThere) {
    std::mt19937_64 random{11};
    const TemporaryDirectory directory;
    std::uint64_t finished = 0;
    for (std::uint32_t round = 0; round < 25; ++round) {
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        const auto generation = next_generation(directory.path());
        ASSERT_TRUE(generation);
        const pid_t child = fork();
        if (child == 0) {
            for (std::uint64_t step = finished + 1;; ++step) {
                const Sample sample = make_sample(40, plain_shape, 1, step, *generation);
                if (!sample.write(directory.path(), 3)) _exit(9);
                if (write(ends[1], &step, sizeof step) != sizeof step) _exit(8);
            }
        }
        close(ends[1]);
        std::uint64_t step = 0;
        ASSERT_EQ(read(ends[0], &step, sizeof step), static_cast<ssize_t>(sizeof step));
        usleep(static_cast<useconds_t>(random() % 30'000));  // the moment of death, not a wait for anything
        kill(child, SIGKILL);
        finished = step;
        while (read(ends[0], &step, sizeof step) == static_cast<ssize_t>(sizeof step)) finished = step;
        close(ends[0]);
        int status = 0;
        waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";
        auto opened = open_latest(directory.path(), {});
        ASSERT_TRUE(opened) << opened.error().sentence;
        EXPECT_TRUE(opened->skipped.empty());
        const CutDescription& cut = opened->reader.cut();
        EXPECT_GE(cut.step, finished);
        EXPECT_LE(cut.step, finished + 1);
        expect_same(opened->reader, make_sample(40, plain_shape, 1, cut.step, cut.generation), 2);
        finished = cut.step;
        // Two complete ones, and at most the one being written and the one being removed.
        EXPECT_LE(names_in(directory.path()).size(), 5U);
    }
}

class CheckpointPruning : public testing::Test {
  protected:
    void write(std::uint64_t step, std::uint32_t generation, std::uint32_t kept = 2) {
        const auto written = make_sample(4, plain_shape, 0, step, generation).write(directory_.path(), 2, kept);
        ASSERT_TRUE(written) << written.error().sentence;
    }

    TemporaryDirectory directory_;
};

TEST_F(CheckpointPruning, TheLastNStay) {
    for (std::uint64_t step = 1; step <= 6; ++step) write(step, 0, 3);
    EXPECT_THAT(names_in(directory_.path()),
                testing::ElementsAre("step-000000000004.g0", "step-000000000005.g0", "step-000000000006.g0"));
}

TEST_F(CheckpointPruning, ALaterGenerationIsNewerWhateverItsStep) {
    write(10, 0);
    write(20, 0);
    write(15, 1);
    EXPECT_EQ(open_latest(directory_.path(), {})->reader.cut().step, 15U);
    EXPECT_THAT(names_in(directory_.path()), testing::ElementsAre("step-000000000015.g1", "step-000000000020.g0"));
}

TEST_F(CheckpointPruning, ALowerGenerationNeverReplacesAHigher) {
    write(10, 3);
    const auto late = make_sample(4, plain_shape, 0, 50, 2).write(directory_.path(), 1);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind, FailureKind::superseded);
    EXPECT_THAT(late.error().sentence, HasSubstr("of a later generation than 2"));
    EXPECT_EQ(open_latest(directory_.path(), {})->reader.cut().step, 10U);
    write(11, 3);
    EXPECT_THAT(names_in(directory_.path()), testing::ElementsAre("step-000000000010.g3", "step-000000000011.g3"))
        << "what the replaced one left is gone";
}

TEST_F(CheckpointPruning, ADamagedOneNeverPushesOutAGoodOne) {
    write(1, 0);
    write(2, 0);
    fs::resize_file(directory_.path() + "/step-000000000002.g0/master.h5", 100);
    write(3, 0);
    EXPECT_TRUE(exists(directory_.path() + "/step-000000000001.g0"));
}

TEST_F(CheckpointPruning, WhatIsNotOursStays) {
    Sample other = make_sample(4, plain_shape, 0, 1);
    other.cut.lineage = 5;
    ASSERT_TRUE(other.write(directory_.path(), 1));
    other.cut.step = 2;
    const PartRange all{0, 0, 4};
    ASSERT_TRUE(write_part(directory_.path(), other.cut, all, other.views(all)));
    fs::create_directory(directory_.path() + "/step-3.g0");
    std::ofstream{directory_.path() + "/notes.txt"} << "mine";
    fs::create_directory(directory_.path() + "/step-000000000004.g0.partial");
    std::ofstream{directory_.path() + "/step-000000000004.g0.partial/results.txt"} << "mine";
    for (std::uint64_t step = 10; step < 14; ++step) write(step, 0);
    EXPECT_THAT(names_in(directory_.path()),
                testing::ElementsAre("notes.txt", "step-000000000001.g0", "step-000000000002.g0.partial",
                                     "step-000000000004.g0.partial", "step-000000000012.g0", "step-000000000013.g0",
                                     "step-3.g0"));
    EXPECT_TRUE(exists(directory_.path() + "/step-000000000004.g0.partial/results.txt"));
}

TEST_F(CheckpointPruning, PartialOnesOfDeadWritersGo) {
    const Sample dead = make_sample(4, plain_shape, 0, 5);
    const PartRange half{0, 0, 2};
    ASSERT_TRUE(write_part(directory_.path(), dead.cut, half, dead.views(half)));
    fs::create_directory(directory_.path() + "/step-000000000006.g0.partial");  // died before its marker
    write(10, 0);
    EXPECT_THAT(names_in(directory_.path()), testing::ElementsAre("step-000000000010.g0"));
}

TEST_F(CheckpointPruning, TheNextGenerationIsAboveEverythingThere) {
    EXPECT_EQ(next_generation(directory_.path() + "/missing").value(), 0U);
    EXPECT_EQ(next_generation(directory_.path()).value(), 0U);
    write(10, 3);
    EXPECT_EQ(next_generation(directory_.path()).value(), 4U);
    const Sample dead = make_sample(4, plain_shape, 0, 5, 7);
    const PartRange half{0, 0, 2};
    ASSERT_TRUE(write_part(directory_.path(), dead.cut, half, dead.views(half)));
    EXPECT_EQ(next_generation(directory_.path()).value(), 8U);
}

TEST_F(CheckpointPruning, AMissingPartIsNamedAndCanBeAdded) {
    const Sample sample = make_sample(6);
    for (const std::uint32_t index : {0U, 2U}) {
        const PartRange range = even_part(6, 3, index);
        ASSERT_TRUE(write_part(directory_.path(), sample.cut, range, sample.views(range)));
    }
    const auto early = finish(directory_.path(), sample.cut, {.parts = 3});
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().kind, FailureKind::torn);
    EXPECT_THAT(early.error().sentence, HasSubstr("part 1 of 3 is missing"));
    const auto short_of = finish(directory_.path(), sample.cut, {.parts = 1});
    ASSERT_FALSE(short_of);
    EXPECT_THAT(short_of.error().sentence, HasSubstr("hold 2 of 6 VNodes"));
    const PartRange range = even_part(6, 3, 1);
    ASSERT_TRUE(write_part(directory_.path(), sample.cut, range, sample.views(range)));
    EXPECT_TRUE(finish(directory_.path(), sample.cut, {.parts = 3}));
}

TEST_F(CheckpointPruning, TwoRunsInOneDirectoryDoNotMixTheirParts) {
    Sample one = make_sample(4);
    Sample two = make_sample(4);
    two.cut.lineage = 6;
    const PartRange half{0, 0, 2};
    ASSERT_TRUE(write_part(directory_.path(), one.cut, half, one.views(half)));
    const auto refused_part = write_part(directory_.path(), two.cut, half, two.views(half));
    ASSERT_FALSE(refused_part);
    EXPECT_EQ(refused_part.error().kind, FailureKind::superseded);
    EXPECT_THAT(refused_part.error().sentence, HasSubstr("another run"));
    ASSERT_TRUE(one.write(directory_.path(), 2));
    const auto refused_all = two.write(directory_.path(), 2);
    ASSERT_FALSE(refused_all);
    EXPECT_EQ(refused_all.error().kind, FailureKind::superseded);
    EXPECT_EQ(open_latest(directory_.path(), {})->reader.cut().lineage, one.cut.lineage);
}

TEST(CheckpointRefused, ADirectoryThatCannotBeWrittenIsNamed) {
    const TemporaryDirectory directory;
    std::ofstream{directory.path() + "/file"} << "text";
    const Sample sample = make_sample(2);
    for (const std::string& path : {directory.path() + "/file", directory.path() + "/file/below",
                                    std::string{"/proc/phoenix"}, std::string{"/proc/self/phoenix"}}) {
        const auto written = sample.write(path, 1);
        ASSERT_FALSE(written) << path;
        EXPECT_EQ(written.error().kind, FailureKind::system) << written.error().sentence;
        EXPECT_THAT(written.error().sentence, HasSubstr("'" + path.substr(0, path.find("/below"))));
    }
}

/// Writes a good checkpoint, then a large one that `limit` stops; `expected` must be in the sentence.
void expect_full(const std::string& directory, const std::function<void()>& limit, const std::string& expected) {
    const Sample good = make_sample(4);
    const Sample large = make_sample(
        4,
        [](std::uint32_t v, std::size_t f) {
            return f == 0 ? Extents{500, 500, 1} : plain_shape(v, f);
        },
        0, 200);
    if (!good.write(directory, 2)) _exit(2);
    limit();
    const auto written = large.write(directory, 2);
    if (written) _exit(3);
    std::fprintf(stderr, "%s\n", written.error().sentence.c_str());
    if (written.error().kind != FailureKind::disk_full) _exit(4);
    if (written.error().sentence.find(expected) == std::string::npos) _exit(5);
    auto opened = open_latest(directory, good.expectation());
    if (!opened || opened->reader.cut().step != 100) _exit(6);
    for (const std::string& name : names_in(directory + "/step-000000000200.g0.partial")) {
        if (name.ends_with(".tmp")) _exit(7);
    }
}

TEST(CheckpointRefused, AFileSizeLimitIsSaidSoAndTheGoodOneStays) {
    const TemporaryDirectory directory;
    const int status = in_child([&] {
        expect_full(
            directory.path(),
            [] {
                signal(SIGXFSZ, SIG_IGN);
                const rlimit limit{1'000'000, 1'000'000};
                setrlimit(RLIMIT_FSIZE, &limit);
            },
            "File too large");
    });
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(CheckpointRefused, AFullDiskIsSaidSoAndTheGoodOneStays) {
    constexpr int cannot_mount = 20;
    for (const char* size : {"size=1m", "size=500k", "size=2m", "size=3m"}) {
        const TemporaryDirectory directory;
        const int status = in_child([&] {
            if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                mount("tmpfs", directory.path().c_str(), "tmpfs", 0, size) != 0) {
                _exit(cannot_mount);
            }
            expect_full(
                directory.path(), [] {}, "No space left on device");
        });
        if (WEXITSTATUS(status) == cannot_mount) GTEST_SKIP() << "needs the right to mount a small file system";
        EXPECT_EQ(WEXITSTATUS(status), 0) << size;
    }
}

}  // namespace
}  // namespace phoenix::checkpoint

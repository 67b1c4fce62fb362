#include "base/process.hpp"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace phoenix {
namespace {

/// A child that waits to be killed; it dies with the test, whatever happens to it.
class Child {
  public:
    Child() {
        const pid_t parent = getpid();
        pid_ = fork();
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) _exit(1);  // the parent died before the line above
            for (;;) pause();
        }
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            reap();
        }
    }
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] ProcessIdentity identity() const { return {pid_, start_time_of(pid_)}; }
    void reap() {
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

  private:
    pid_t pid_{-1};
};

bool becomes_readable(int descriptor) {
    pollfd entry{descriptor, POLLIN, 0};
    return poll(&entry, 1, 30'000) == 1;  // bounded by the ctest TIMEOUT as well; a death notice takes microseconds
}

TEST(FileDescriptor, ClosesWhatItOwnsExactlyOnce) {
    const int raw = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(raw, 0);
    {
        FileDescriptor first{raw};
        FileDescriptor second{std::move(first)};
        EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): what a moved-from handle is, is tested here
        EXPECT_EQ(second.get(), raw);
        EXPECT_NE(fcntl(raw, F_GETFD), -1);
    }
    EXPECT_EQ(fcntl(raw, F_GETFD), -1);
}

TEST(FileDescriptor, AssignmentClosesTheOldOne) {
    const int old_raw = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int new_raw = open("/dev/null", O_RDONLY | O_CLOEXEC);
    FileDescriptor handle{old_raw};
    handle = FileDescriptor{new_raw};
    EXPECT_EQ(fcntl(old_raw, F_GETFD), -1);
    EXPECT_EQ(handle.get(), new_raw);
    EXPECT_NE(fcntl(new_raw, F_GETFD), -1);
}

TEST(FileDescriptor, ReleaseHandsOverWithoutClosing) {
    FileDescriptor handle{open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const FileDescriptor heir{handle.release()};
    EXPECT_FALSE(handle.valid());
    EXPECT_NE(fcntl(heir.get(), F_GETFD), -1);
}

TEST(Process, TheOwnIdentityIsAliveAndStable) {
    const ProcessIdentity self = own_identity();
    EXPECT_EQ(self.pid, getpid());
    EXPECT_NE(self.start_time, 0U);
    EXPECT_EQ(self, own_identity());
    EXPECT_TRUE(is_alive(self));
}

TEST(Process, AStartTimeIsFoundBehindACommandNameWithBlanksAndParentheses) {
    const std::uint64_t before = start_time_of(getpid());
    char name[16]{};
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, "a) S 1 (2 3) 4");
    EXPECT_EQ(start_time_of(getpid()), before);
    prctl(PR_SET_NAME, name);
}

TEST(Process, AReusedPidIsNotTakenForTheOldProcess) {
    const Child child;
    // The same pid with another start time is what a reused pid looks like.
    const ProcessIdentity former{child.pid(), child.identity().start_time - 1};
    EXPECT_TRUE(is_alive(child.identity()));
    EXPECT_FALSE(is_alive(former));

    const ProcessHandle handle{former};
    EXPECT_FALSE(handle.valid());
    EXPECT_TRUE(handle.dead());
    EXPECT_FALSE(handle.signal(SIGKILL));
    EXPECT_TRUE(is_alive(child.identity())) << "a signal meant for a former process hit its successor";
}

TEST(Process, APidThatDoesNotExistIsDead) {
    Child child;
    const ProcessIdentity identity = child.identity();
    kill(child.pid(), SIGKILL);
    child.reap();
    EXPECT_EQ(start_time_of(identity.pid), 0U);
    EXPECT_FALSE(is_alive(identity));
    EXPECT_FALSE(ProcessHandle{identity}.valid());
    EXPECT_FALSE(is_alive({identity.pid, 0})) << "an unknown start time matched a process that is gone";
}

TEST(Process, ThePidfdTellsADeathBeforeAnybodyReaps) {
    const Child child;
    const ProcessIdentity identity = child.identity();
    const ProcessHandle handle{identity};
    ASSERT_TRUE(handle.valid());
    EXPECT_FALSE(handle.dead());

    ASSERT_TRUE(handle.signal(SIGKILL));
    ASSERT_TRUE(becomes_readable(handle.descriptor()));
    EXPECT_TRUE(handle.dead());
    // It is a zombie now: start_time_of still knows it, but it executes nothing any more.
    EXPECT_EQ(start_time_of(identity.pid), identity.start_time);
    EXPECT_FALSE(is_alive(identity));
}

TEST(Process, AStoppedProcessIsAlive) {
    const Child child;
    const ProcessHandle handle{child.identity()};
    ASSERT_TRUE(handle.signal(SIGSTOP));
    int status = 0;
    ASSERT_EQ(waitpid(child.pid(), &status, WUNTRACED), child.pid());
    ASSERT_TRUE(WIFSTOPPED(status));
    EXPECT_TRUE(is_alive(child.identity()));
    EXPECT_FALSE(handle.dead());
}

TEST(Process, AHandleThatWasNeverValidIsDead) {
    const ProcessHandle handle;
    EXPECT_FALSE(handle.valid());
    EXPECT_TRUE(handle.dead());
    EXPECT_FALSE(handle.signal(SIGKILL));
}

TEST(Process, AProcessUnderADebuggerIsTraced) {
    const Child child;
    EXPECT_FALSE(is_traced(child.pid()));
    if (ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr) != 0) GTEST_SKIP() << "ptrace is not allowed here";
    EXPECT_TRUE(is_traced(child.pid()));
    ASSERT_EQ(ptrace(PTRACE_INTERRUPT, child.pid(), nullptr, nullptr), 0);
    ASSERT_EQ(waitpid(child.pid(), nullptr, 0), child.pid());  // PTRACE_DETACH needs it stopped
    ASSERT_EQ(ptrace(PTRACE_DETACH, child.pid(), nullptr, nullptr), 0);
    EXPECT_FALSE(is_traced(child.pid()));
}

TEST(Process, NobodyTracesAProcessThatDoesNotExist) { EXPECT_FALSE(is_traced(0)); }

}  // namespace
}  // namespace phoenix

#include "pflight/node_link.hpp"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

namespace phoenix::pflight {
namespace {

using testing::HasSubstr;

constexpr std::chrono::seconds far_too_long{30};

/// What the launcher learns from an agent on another host that says `reports` and is gone.
NodeLink after(const std::vector<Report>& reports) {
    std::string script = "read order";
    for (const Report& report : reports) script += "; echo '" + line_of(report) + "'";
    NodeLink link{2, "unit", NodePlace{"far", {"/bin/sh", "-c", script + "; exit 3"}, "127.0.0.1"},
                  Timeline{0, [](const std::string&) {}, 2}};
    EXPECT_TRUE(link.start(StartOrder{}));
    const auto deadline = std::chrono::steady_clock::now() + far_too_long;
    while (!link.ending() && std::chrono::steady_clock::now() < deadline) {
        (void)link.look();
        std::this_thread::yield();
    }
    EXPECT_TRUE(link.ending());
    return link;
}

TEST(NodeLink, ANodeThatNobodyCanReachEndsTheJobAtOnce) {
    const NodeLink unstarted = after({});
    EXPECT_FALSE(unstarted.lost());
    EXPECT_THAT(unstarted.ending()->sentence, HasSubstr("No agent could be started on host 'far'"));
    const NodeLink unknown = after({StartedReport{1, "agent", "127.0.0.1"}});
    EXPECT_FALSE(unknown.lost());
    EXPECT_THAT(unknown.ending()->sentence, HasSubstr("lost (exit status 3) before others knew how to reach the node"));
}

TEST(NodeLink, ANodeThatOthersCanReachGoesOnWithoutItsAgent) {
    const NodeLink link = after({StartedReport{1, "agent", "127.0.0.1"}, PortReport{4, 77}});
    EXPECT_TRUE(link.lost());
    EXPECT_EQ(link.address(), 77U);
}

}  // namespace
}  // namespace phoenix::pflight

#include "pflight/mpi_ports.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace phoenix::pflight {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

PortWorld two_nodes(const std::string& first, const std::string& second) {
    return {.mpirun = "/usr/bin/mpirun",
            .remote_shell = {"ssh", "-q"},
            .job_id = "job",
            .secret = "5ec3e7",
            .carry_from = 4096,
            .seats = {{first, "socket0", "10.0.0.1"}, {second, "socket1", "10.0.0.2"}},
            .exported = {{"LANG", "C"}}};
}

TEST(MpiPorts, EachRankFindsItsNodeInLists) {
    const MpirunCall call = call_for_ports(two_nodes("a", "b"), "/opt/pflight-port", 0xabc);
    EXPECT_EQ(call.ranks, 2U);
    EXPECT_EQ(call.program.path, "/opt/pflight-port");
    EXPECT_THAT(call.program.environment, Contains(Pair("PHOENIX_JOB", "job")));
    EXPECT_THAT(call.program.environment, Contains(Pair("PHOENIX_PORT_AGENTS", "socket0,socket1")));
    EXPECT_THAT(call.program.environment, Contains(Pair("PHOENIX_PORT_ADDRESSES", "10.0.0.1,10.0.0.2")));
    EXPECT_THAT(call.program.environment, Contains(Pair("PHOENIX_PORT_WORLD", "abc")));
    EXPECT_THAT(call.program.environment, Contains(Pair("PHOENIX_CARRY_FROM", "4096")));
    EXPECT_THAT(call.program.environment, Contains(Pair("LANG", "C")));
}

TEST(MpiPorts, TheSecretIsOnNoCommandLine) {
    const MpirunCall call = call_for_ports(two_nodes("a", "b"), "/opt/pflight-port", 1);
    EXPECT_THAT(call.program.environment, Contains(Pair("PHOENIX_SECRET", "5ec3e7")));
    EXPECT_THAT(mpirun_arguments(call, 4, 2), Not(Contains(HasSubstr("5ec3e7"))));
    EXPECT_THAT(mpirun_arguments(call, 4, 2), Contains("PHOENIX_SECRET"));
}

TEST(MpiPorts, RanksAreOnTheHostsInTheirOrderAndStartedAsAgentsAre) {
    const auto words = mpirun_arguments(call_for_ports(two_nodes("a", "b"), "/opt/pflight-port", 1), 4, 2);
    const std::vector<std::string> hosts{"--host", "a:1,b:1", "--map-by", "node"};
    EXPECT_NE(std::search(words.begin(), words.end(), hosts.begin(), hosts.end()), words.end());
    const std::vector<std::string> shell{"--mca", "plm_rsh_agent", "ssh -q"};
    EXPECT_NE(std::search(words.begin(), words.end(), shell.begin(), shell.end()), words.end());
    EXPECT_THAT(words, Not(Contains("btl")));  // what is best between machines MPI knows itself
}

TEST(MpiPorts, OfEmulatedNodesLeaveNothingInSharedMemory) {
    const auto words = mpirun_arguments(call_for_ports(two_nodes("", ""), "/opt/pflight-port", 1), 4, 2);
    EXPECT_THAT(words, Not(Contains("--host")));
    EXPECT_THAT(words, Contains("self,tcp"));
}

}  // namespace
}  // namespace phoenix::pflight

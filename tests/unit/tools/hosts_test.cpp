#include "pflight/hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace phoenix::pflight {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::uint32_t> shares(std::string_view hosts, std::optional<std::uint32_t> members = std::nullopt) {
    const auto parsed = parse_hosts(hosts);
    EXPECT_TRUE(parsed) << parsed.error().sentence;
    const auto shared = shares_of_hosts(*parsed, members);
    EXPECT_TRUE(shared) << shared.error().sentence;
    return shared.value_or(std::vector<std::uint32_t>{});
}

std::string trouble(std::string_view hosts, std::optional<std::uint32_t> members = std::nullopt) {
    const auto parsed = parse_hosts(hosts);
    if (!parsed) return parsed.error().sentence;
    const auto shared = shares_of_hosts(*parsed, members);
    return shared ? "" : shared.error().sentence;
}

TEST(Hosts, AreNamedWithOrWithoutANumber) {
    const auto hosts = parse_hosts("a:2, me@b-1.example.org ,10.0.0.7:12");
    ASSERT_TRUE(hosts) << hosts.error().sentence;
    EXPECT_THAT(*hosts, ElementsAre(Host{"a", 2}, Host{"me@b-1.example.org", std::nullopt}, Host{"10.0.0.7", 12}));
}

TEST(Hosts, OfAFileAreThoseOfOtherLaunchersToo) {
    const auto hosts = parse_hostfile("# all\r\n\na slots=2 max_slots=9\r\n  b:3 # big\nc\n", "mine");
    ASSERT_TRUE(hosts) << hosts.error().sentence;
    EXPECT_THAT(*hosts, ElementsAre(Host{"a", 2}, Host{"b", 3}, Host{"c", std::nullopt}));
}

TEST(Hosts, GetTheirMembersInOrder) {
    EXPECT_THAT(shares("a:2,b:3"), ElementsAre(2, 3));
    EXPECT_THAT(shares("a:2,b"), ElementsAre(2, 1));
    EXPECT_THAT(shares("a,b,c"), ElementsAre(1, 1, 1));
    EXPECT_THAT(shares("a,b,c", 7), ElementsAre(3, 2, 2));
    EXPECT_THAT(shares("a:4,b:4,c:4", 6), ElementsAre(4, 2));
    EXPECT_THAT(shares("a:4,b:4,c:4", 12), ElementsAre(4, 4, 4));
    EXPECT_THAT(shares("a:200,b:200", 256), ElementsAre(200, 56));
}

TEST(Hosts, ThatAreWrongAreRefusedInASentence) {
    EXPECT_THAT(trouble(""), HasSubstr("--hosts: '' is no host; write for example node1 or node1:2."));
    EXPECT_THAT(trouble("a,,b"), HasSubstr("'' is no host"));
    EXPECT_THAT(trouble("-oProxyCommand=x"), HasSubstr("is no host"));  // an option to the remote shell
    EXPECT_THAT(trouble("a b"), HasSubstr("is no host"));
    EXPECT_THAT(trouble("a:0"), HasSubstr("'0' is no number of members from 1 to 256"));
    EXPECT_THAT(trouble("a:257"), HasSubstr("'257' is no number"));
    EXPECT_THAT(trouble("a:x"), HasSubstr("'x' is no number"));
    EXPECT_THAT(trouble("a:2,a:3"), HasSubstr("host 'a' is named twice"));
    EXPECT_THAT(trouble("a,b", 1), HasSubstr("-n 1: each of the 2 hosts needs a member"));
    EXPECT_THAT(trouble("a:2,b:2", 5), HasSubstr("-n 5: the hosts have room for 4"));
    EXPECT_THAT(trouble("a:200,b:200"), HasSubstr("The hosts have 400 members together, and a job has at most 256"));
    std::string many = "h";
    for (std::uint32_t i = 0; i < node_count_max; ++i) many += ",h" + std::to_string(i);
    EXPECT_THAT(trouble(many), HasSubstr("nodes; name fewer hosts."));
    const auto file = parse_hostfile("a\nb slots=x\n", "mine");
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().sentence, HasSubstr("--hostfile mine, line 2: 'x' is no number of members"));
    EXPECT_THAT(parse_hostfile("# none\n", "mine").error().sentence, HasSubstr("--hostfile mine names no host"));
}

TEST(Hosts, OfSlurmHaveTheirTasksInShort) {
    EXPECT_THAT(parse_tasks_per_node("2(x3),1").value_or(std::vector<std::uint32_t>{}), ElementsAre(2, 2, 2, 1));
    EXPECT_THAT(parse_tasks_per_node("4").value_or(std::vector<std::uint32_t>{}), ElementsAre(4));
    for (const char* text : {"2(x3", "2(3)", "x", "0", "2(x4000000000)", "2,,3"})
        EXPECT_FALSE(parse_tasks_per_node(text)) << text;
}

}  // namespace
}  // namespace phoenix::pflight

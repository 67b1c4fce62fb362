#include "pflight/remote_shell.hpp"

#include "pflight/host_address.hpp"
#include "pflight/host_options.hpp"
#include "pflight/output_relay.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace phoenix::pflight {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RemoteShell, IsCalledAsSshIs) {
    EXPECT_THAT(words_for(own_shell("  my-rsh  -v "), "b", {"/opt/it's here/pflight", "agent"}),
                ElementsAre("my-rsh", "-v", "b", R"(exec '/opt/it'\''s here/pflight' 'agent')"));
    const std::vector<std::string> ssh = words_for(secure_shell(), "me@b", {"pflight"});
    EXPECT_EQ(ssh.front(), "ssh");
    EXPECT_THAT(ssh, Contains("BatchMode=yes"));  // never asks
    EXPECT_EQ(ssh[ssh.size() - 2], "me@b");
    EXPECT_THAT(own_shell(" \t").words, IsEmpty());
}

TEST(RemoteShell, OfSlurmTakesTheHostAsAnOption) {
    const std::vector<std::string> words = words_for(slurm_shell(), "n7", {"/a b/pflight", "agent"});
    EXPECT_EQ(words.front(), "srun");
    EXPECT_THAT(words, Contains("--no-kill"));
    EXPECT_EQ(std::vector(words.end() - 3, words.end()),
              (std::vector<std::string>{"--nodelist=n7", "/a b/pflight", "agent"}));
}

TEST(RemoteShell, AQuotedWordIsOneWordToTheShell) {
    const std::string hostile = "a'b \"c\" $HOME `ls` \\ ; \n *";
    const std::string command = "printf %s " + quoted_for_shell(hostile);
    std::string printed;
    std::FILE* shell = popen(command.c_str(), "re");
    ASSERT_NE(shell, nullptr);
    std::array<char, 256> bytes{};
    while (std::fgets(bytes.data(), bytes.size(), shell) != nullptr) printed += bytes.data();
    EXPECT_EQ(pclose(shell), 0);
    EXPECT_EQ(printed, hostile);
}

TEST(HostAddress, NetworksAreReadAndContain) {
    const auto network = parse_network("10.1.2.3/16");
    ASSERT_TRUE(network) << network.error().sentence;
    EXPECT_TRUE(network->contains(0x0A01FFFF));
    EXPECT_FALSE(network->contains(0x0A020000));
    EXPECT_TRUE(parse_network("0.0.0.0/0")->contains(0xFFFFFFFF));
    EXPECT_FALSE(parse_network("10.1.2.3")->contains(0x0A010204));
    for (const char* text : {"", "10.1.0.0/33", "10.1/16", "a", "10.1.0.0/", "10.1.0.0/x", "::1/64"})
        EXPECT_FALSE(parse_network(text)) << text;
    EXPECT_THAT(parse_network("a").error().sentence, HasSubstr("'a' is no IPv4 network; write for example"));
}

TEST(HostAddress, ThisMachineKnowsItself) {
    std::array<char, 256> name{};
    ASSERT_EQ(gethostname(name.data(), name.size() - 1), 0);
    EXPECT_TRUE(is_this_machine(name.data()));
    EXPECT_TRUE(is_this_machine("localhost"));
    EXPECT_FALSE(is_this_machine(std::string{name.data()} + "x"));
    EXPECT_FALSE(is_this_machine(""));
    EXPECT_TRUE(is_loopback("127.3.2.1"));
    EXPECT_FALSE(is_loopback("128.0.0.1"));
    EXPECT_EQ(address_of_host("someone@127.0.0.1").value_or(""), "127.0.0.1");
    EXPECT_EQ(address_towards("127.0.0.1").value_or(""), "127.0.0.1");
    EXPECT_FALSE(address_towards("nonsense"));
}

TEST(HostAddress, StandsForOneOfThisMachine) {
    EXPECT_EQ(own_address_for("127.0.0.1").value_or(""), "127.0.0.1");
    EXPECT_EQ(own_address_for("127.0.0.0/8").value_or(""), "127.0.0.1");
    const auto elsewhere = own_address_for("192.0.2.7");  // for documentation only, nobody has it
    ASSERT_FALSE(elsewhere);
    EXPECT_THAT(elsewhere.error().sentence, HasSubstr("has no address in 192.0.2.7 (it has "));
}

TEST(ExportedVariables, AreNamedOrGiven) {
    setenv("PFLIGHT_TEST_COLOUR", "blue", 1);
    const auto variables = exported_variables({"PFLIGHT_TEST_COLOUR", "B=", "C=x=y"});
    ASSERT_TRUE(variables) << variables.error().sentence;
    EXPECT_EQ(*variables, (Environment{{"PFLIGHT_TEST_COLOUR", "blue"}, {"B", ""}, {"C", "x=y"}}));
    unsetenv("PFLIGHT_TEST_COLOUR");
    EXPECT_THAT(exported_variables({"PFLIGHT_TEST_COLOUR"}).error().sentence, HasSubstr("it has no value here"));
    for (const char* word : {"", "=x", "1A=x", "A-B=1"})
        EXPECT_THAT(exported_variables({word}).error().sentence, HasSubstr("no name of a variable")) << word;
}

TEST(OutputRelay, GivesWhatWasWrittenAndNeverWaits) {
    const auto relay = OutputRelay::create();
    ASSERT_TRUE(relay) << relay.error().sentence;
    EXPECT_EQ(relay->take(), "");
    const std::string text = std::string{"a\0b\n", 4};
    ASSERT_EQ(write(relay->write_end(), text.data(), text.size()), 4);
    EXPECT_EQ(relay->take(), text);
    EXPECT_EQ(relay->take(), "");
}

}  // namespace
}  // namespace phoenix::pflight

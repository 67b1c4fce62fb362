#include "pflight/node_protocol.hpp"

#include "pflight/line_channel.hpp"
#include "pflight/port_keeper.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <unistd.h>
#include <vector>

namespace phoenix::pflight {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

StartOrder start_order() {
    StartOrder order;
    order.job_id = "x";
    order.node = 1;
    order.nodes = 3;
    for (std::size_t index = 0; index < order.secret.size(); ++index)
        order.secret[index] = static_cast<std::uint8_t>(index * 9);
    order.members = 2;
    order.program = "/bin/plate";
    order.arguments = {"--name", "two words\nand a line", "\"quoted\"", ""};
    order.directory = "/tmp";
    order.settings.heartbeat_period_ms = 17;
    order.settings.checkpoint_directory = "/saved";
    order.faults = {*parse_fault("kill:1@300"), *parse_fault("stop:0@2+3s")};
    order.faults.push_back(chaos_faults({.seed = 7, .moves = 1}, 2).front());
    order.respawn = true;
    order.awaits_port = true;
    order.output = 3;
    order.relay = true;
    order.listen = "10.1.0.0/16";
    order.environment = {{"A", "x=\ny"}, {"B", ""}};
    return order;
}

template <typename Message>
Message there_and_back(const Order& order) {
    const auto line = line_of(order);
    EXPECT_TRUE(line);
    EXPECT_EQ(line->find('\n'), line->size() - 1) << "one line";
    const auto parsed = parse_order(line->substr(0, line->size() - 1));
    EXPECT_TRUE(parsed) << parsed.error().sentence;
    return std::get<Message>(*parsed);
}

template <typename Message>
Message there_and_back(const Report& report) {
    const std::string line = line_of(report);
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line";
    const auto parsed = parse_report(line.substr(0, line.size() - 1));
    EXPECT_TRUE(parsed) << parsed.error().sentence;
    return std::get<Message>(*parsed);
}

std::string trouble_with(const nlohmann::json& order) {
    const auto parsed = parse_order(order.dump());
    return parsed ? "parsed" : parsed.error().sentence;
}

TEST(NodeProtocol, StartCarriesAllThatAnAgentNeeds) {
    const StartOrder sent = start_order();
    const auto got = there_and_back<StartOrder>(Order{sent});
    EXPECT_EQ(got.job_id, sent.job_id);
    EXPECT_EQ(got.node, sent.node);
    EXPECT_EQ(got.nodes, sent.nodes);
    EXPECT_EQ(got.secret, sent.secret);
    EXPECT_EQ(got.members, sent.members);
    EXPECT_EQ(got.program, sent.program);
    EXPECT_EQ(got.arguments, sent.arguments);
    EXPECT_EQ(got.directory, sent.directory);
    EXPECT_EQ(got.settings.heartbeat_period_ms, 17U);
    EXPECT_EQ(got.settings.checkpoint_directory, "/saved");
    EXPECT_EQ(got.faults, sent.faults);
    EXPECT_EQ(got.respawn, sent.respawn);
    EXPECT_EQ(got.awaits_port, sent.awaits_port);
    EXPECT_EQ(got.output, sent.output);
    EXPECT_EQ(got.relay, sent.relay);
    EXPECT_EQ(got.listen, sent.listen);
    EXPECT_EQ(got.environment, sent.environment);
}

TEST(NodeProtocol, ArgumentsThatJsonCannotHoldAreRefused) {
    StartOrder order = start_order();
    order.arguments = {"\xff\xfe"};
    const auto line = line_of(Order{order});
    ASSERT_FALSE(line);
    EXPECT_THAT(line.error().sentence, HasSubstr("valid UTF-8"));
}

TEST(NodeProtocol, OrdersComeBackAsTheyWere) {
    const EndOrder end{Outcome::interrupted, Errc::interrupted, "Interrupted by Ctrl-C.", true};
    EXPECT_EQ(there_and_back<EndOrder>(Order{end}), end);
    EXPECT_THAT(there_and_back<AddressesOrder>(Order{AddressesOrder{{0, (1ULL << 48U) - 1}}}).of_nodes,
                ElementsAre(0, (1ULL << 48U) - 1));
    (void)there_and_back<FinishOrder>(Order{FinishOrder{}});
}

TEST(NodeProtocol, ReportsComeBackAsTheyWere) {
    const auto started =
        there_and_back<StartedReport>(Report{StartedReport{1234567890123, "phoenix.0.j.1", "10.0.0.2"}});
    EXPECT_EQ(started.time_ns, 1234567890123U);
    EXPECT_EQ(started.agent, "phoenix.0.j.1");
    EXPECT_EQ(started.listen, "10.0.0.2");
    // They become entries of a list.
    EXPECT_FALSE(parse_report(R"({"type":"started","time_ns":1,"agent":"a,b","listen":"10.0.0.2"})"));
    std::string all_bytes;
    for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
    for (const std::string& bytes : {std::string{}, std::string{"line\n\"quoted\" \xC3\xA4\0 behind", 25}, all_bytes})
        EXPECT_EQ(there_and_back<OutputReport>(Report{OutputReport{bytes}}).bytes, bytes);
    EXPECT_THAT(there_and_back<OverReport>(Report{OverReport{{0, 5}}}).nodes, ElementsAre(0, 5));
    const auto process = there_and_back<ProcessReport>(Report{ProcessReport{77, ProcessPurpose::port, 5}});
    EXPECT_EQ(process.pid, 77);
    EXPECT_EQ(process.purpose, ProcessPurpose::port);
    const auto port = there_and_back<PortReport>(Report{PortReport{255, 0x7F0000011234}});
    EXPECT_EQ(port.slot, 255U);
    EXPECT_EQ(port.address, 0x7F0000011234U);
    const Event happened{EventKind::resumed, 3, ~std::uint64_t{0}, 2, 1'000'000'007, 41};
    const auto event =
        there_and_back<EventReport>(Report{EventReport{happened, {.kind = FaultKind::join, .count = 2}}});
    EXPECT_EQ(event.event.kind, EventKind::resumed);
    EXPECT_EQ(event.event.detail, ~std::uint64_t{0});
    EXPECT_EQ(event.event.extra, 41U);
    EXPECT_EQ(event.fault.kind, FaultKind::join);
    EXPECT_EQ(event.fault.count, 2U);
    EXPECT_EQ(there_and_back<DiedReport>(Report{DiedReport{2, 9, "SIGKILL"}}).how, "SIGKILL");
    EXPECT_EQ(there_and_back<SayReport>(Report{SayReport{"a\nb"}}).sentence, "a\nb");
    const auto ended =
        there_and_back<EndedReport>(Report{EndedReport{{Outcome::failed, Errc::member_lost, "All died.", 7, true}}});
    EXPECT_EQ(ended.verdict.sentence, "All died.");
    EXPECT_EQ(ended.verdict.exit_status, 7);
    EXPECT_TRUE(ended.verdict.deserted);
    ProgressSample sample;
    sample.vnode_steps = 12;
    EXPECT_FALSE(there_and_back<ProgressReport>(Report{ProgressReport{sample}}).sample.job);
    sample.job = JobProgress{};
    sample.job->domain = "plate";
    sample.job->step_mean = 1.5;
    sample.job->vnodes_here = 4;
    const auto progress = there_and_back<ProgressReport>(Report{ProgressReport{sample}}).sample;
    EXPECT_EQ(progress.vnode_steps, 12U);
    EXPECT_EQ(progress.job->domain, "plate");
    EXPECT_EQ(progress.job->step_mean, 1.5);
    EXPECT_EQ(progress.job->vnodes_here, 4U);
}

TEST(NodeProtocol, TextThatIsNoUtf8IsSentAllTheSame) {
    EXPECT_THAT(there_and_back<SayReport>(Report{SayReport{"bad \xff byte"}}).sentence, HasSubstr("bad "));
}

TEST(NodeProtocol, GarbageIsRefusedWithTheReason) {
    for (const char* line : {"", "hello", "{", "[]", "17", "null", "{}", "{\"type\":1}", "{\"type\":\"dance\"}",
                             "{\"type\":\"ended\"}", "{\"type\":\"end\",\"outcome\":1}", "\xff\xfe"}) {
        EXPECT_FALSE(parse_order(line)) << line;
        EXPECT_FALSE(parse_report(line)) << line;
    }
    EXPECT_THAT(parse_report("{\"type\":\"dance\"}").error().sentence, HasSubstr("no report 'dance'"));
    EXPECT_LT(parse_report(std::string(100000, 'x')).error().sentence.size(), 400U) << "not all of it is repeated";
}

TEST(NodeProtocol, ValuesOutOfRangeAreRefused) {
    const auto good = nlohmann::json::parse(*line_of(Order{start_order()}));
    EXPECT_EQ(trouble_with(good), "parsed");
    const auto with = [&](const char* name, nlohmann::json value) {
        nlohmann::json changed = good;
        changed[name] = std::move(value);
        return trouble_with(changed);
    };
    EXPECT_THAT(with("protocol", node_protocol_version + 1), HasSubstr("another version"));
    EXPECT_THAT(with("node", 3), HasSubstr("'node' is out of range"));
    EXPECT_THAT(with("nodes", 65), HasSubstr("'nodes' is out of range"));
    EXPECT_THAT(with("members", 0), HasSubstr("'members' is out of range"));
    EXPECT_THAT(with("members", 257), HasSubstr("'members' is out of range"));
    EXPECT_THAT(with("members", -1), HasSubstr("'members' is out of range"));
    EXPECT_THAT(with("members", 1.5), HasSubstr("'members' is out of range"));
    EXPECT_THAT(with("secret", "abcd"), HasSubstr("no secret"));
    EXPECT_THAT(with("secret", std::string(64, 'z')), HasSubstr("not in hexadecimal digits"));
    EXPECT_NE(with("arguments", "x"), "parsed");
    EXPECT_NE(with("settings", 3), "parsed");
    nlohmann::json fault = good["faults"][0];
    fault["kind"] = 99;
    EXPECT_THAT(with("faults", {fault}), HasSubstr("'kind' is out of range"));
    fault = good["faults"][0];
    fault["target"] = 256;
    EXPECT_THAT(with("faults", {fault}), HasSubstr("'target' is out of range"));
    EXPECT_FALSE(parse_report(R"({"type":"port","slot":256,"address":1})"));
    EXPECT_FALSE(parse_report(R"({"type":"port","slot":1,"address":281474976710656})"));
    EXPECT_FALSE(parse_report(R"({"type":"ended","outcome":0,"code":1,"sentence":"","status":0,"deserted":false})"))
        << "still running";
}

// Whatever stands between may cut lines and damage bytes; what still parses is within the ranges above.
TEST(NodeProtocol, DamagedLinesAreRefusedOrReadAndNothingElse) {
    const std::vector<std::string> lines{
        *line_of(Order{start_order()}),
        *line_of(Order{AddressesOrder{{1, 2, 3}}}),
        *line_of(Order{EndOrder{Outcome::failed, Errc::system, "It failed.", false}}),
        line_of(Report{EventReport{{EventKind::resumed, 3, 7, 2, 1, 41}, {.kind = FaultKind::join, .count = 2}}}),
        line_of(Report{OutputReport{std::string{"\xff\xfe text", 7}}}),
        line_of(Report{EndedReport{{Outcome::failed, Errc::member_lost, "All died.", 7, true}}})};
    std::mt19937_64 random{7};
    std::size_t refused = 0;
    constexpr std::size_t rounds = 20'000;
    for (std::size_t round = 0; round < rounds; ++round) {
        std::string line = lines[random() % lines.size()];
        for (std::uint64_t change = random() % 4; change != 0; --change)
            line[random() % line.size()] = static_cast<char>(random());
        line.resize(line.size() - random() % 2 * (random() % line.size()));
        const bool order = parse_order(line).has_value();
        const bool report = parse_report(line).has_value();
        EXPECT_FALSE(order && report);
        refused += order || report ? 0 : 1;
    }
    EXPECT_GT(refused, rounds / 4);
    EXPECT_LT(refused, rounds);
}

struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
        read_end = FileDescriptor{ends[0]};
        write_end = FileDescriptor{ends[1]};
    }
    FileDescriptor read_end;
    FileDescriptor write_end;
};

TEST(LineChannel, GivesWholeLinesOneByOneAndKeepsTheRest) {
    Pipe pipe;
    LineChannel channel{std::move(pipe.read_end), FileDescriptor{}};
    EXPECT_EQ(channel.take_line(), std::nullopt);
    ASSERT_EQ(write(pipe.write_end.get(), "one\ntwo\nthr", 11), 11);
    EXPECT_EQ(channel.take_line(), "one");
    EXPECT_EQ(channel.take_line(), "two");
    EXPECT_EQ(channel.take_line(), std::nullopt);
    ASSERT_EQ(write(pipe.write_end.get(), "ee\nhalf", 7), 7);
    EXPECT_EQ(channel.take_line(), "three");
    pipe.write_end = FileDescriptor{};
    EXPECT_EQ(channel.take_line(), std::nullopt) << "a line without end was never said";
    EXPECT_TRUE(channel.closed());
}

TEST(LineChannel, IsNotClosedBeforeTheLastLineWasTaken) {
    Pipe pipe;
    LineChannel channel{std::move(pipe.read_end), FileDescriptor{}};
    ASSERT_EQ(write(pipe.write_end.get(), "one\ntwo\n", 8), 8);
    pipe.write_end = FileDescriptor{};
    EXPECT_EQ(channel.take_line(), "one");
    EXPECT_FALSE(channel.closed());
    EXPECT_EQ(channel.take_line(), "two");
    EXPECT_TRUE(channel.closed());
}

TEST(LineChannel, KeepsNobodyWaitingAndLosesNothing) {
    Pipe pipe;
    LineChannel sender{FileDescriptor{}, std::move(pipe.write_end)};
    LineChannel receiver{std::move(pipe.read_end), FileDescriptor{}};
    const std::string line(100'000, 'x');
    for (int i = 0; i < 5; ++i) sender.send(line + "\n");  // more than a pipe holds
    EXPECT_GT(sender.unsent(), 0U);
    int got = 0;
    while (got < 5) {
        sender.flush();
        while (const auto taken = receiver.take_line()) got += *taken == line ? 1 : 100;
    }
    EXPECT_EQ(got, 5);
    EXPECT_EQ(sender.unsent(), 0U);
}

TEST(LineChannel, DropsWhatIsForSomebodyWhoIsGone) {
    std::signal(SIGPIPE, SIG_IGN);
    Pipe pipe;
    LineChannel sender{FileDescriptor{}, std::move(pipe.write_end)};
    pipe.read_end = FileDescriptor{};
    sender.send("hello\n");
    EXPECT_EQ(sender.unsent(), 0U);
}

TEST(LineChannel, TakesALineWithoutEndForTheEnd) {
    std::signal(SIGPIPE, SIG_IGN);  // the receiver closes
    Pipe pipe;
    LineChannel sender{FileDescriptor{}, std::move(pipe.write_end)};
    LineChannel receiver{std::move(pipe.read_end), FileDescriptor{}};
    const std::string endless(std::size_t{1} << 20U, 'x');
    for (int megabyte = 0; megabyte < 32 && !receiver.closed(); ++megabyte) {
        sender.send(endless);
        while (sender.unsent() > 0 && !receiver.closed()) {
            EXPECT_EQ(receiver.take_line(), std::nullopt);
            sender.flush();
        }
    }
    EXPECT_TRUE(receiver.closed());
}

TEST(PortEnds, AreFollowedByAnotherPortWhileItIsNeededAndNotTooOften) {
    EXPECT_EQ(judge_port_end(true, false, 0), PortEnd::start_anew);
    EXPECT_EQ(judge_port_end(true, false, port_restart_count_max - 1), PortEnd::start_anew);
    EXPECT_EQ(judge_port_end(true, false, port_restart_count_max), PortEnd::too_often);
    EXPECT_EQ(judge_port_end(true, true, 0), PortEnd::is_the_end);
    EXPECT_EQ(judge_port_end(false, false, port_restart_count_max), PortEnd::is_the_end);
}

}  // namespace
}  // namespace phoenix::pflight

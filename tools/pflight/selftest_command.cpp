#include "pflight/argument.hpp"
#include "pflight/command.hpp"
#include "pflight/program.hpp"
#include "pflight/run_job.hpp"
#include "pflight/run_options.hpp"
#include "pflight/selftest/messages_member.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <vector>

namespace phoenix::pflight {

namespace {

constexpr const char* messages_footer = R"(
VNodes send messages of 16 bytes to 64 KiB to each other while they move and members join, retire and are killed at random.
Each message says which one it is; the receiver compares each stream's sequence and every byte.

examples:
  pflight selftest messages
  pflight selftest messages --messages 10000000 -n 4
  pflight selftest messages --emulate-nodes 3 -n 6 --seed 7 --json

Exit status: 0 if no message was lost, came twice, out of order or damaged; 1 if one was, or the run failed.)";

/// Lets people prove on their own machine what is promised.
class Selftest : public Command {
  public:
    void declare(CLI::App& application) override {
        app_ = application.add_subcommand("selftest",
                                          "Prove on this machine that no message is lost while everything moves.");
        app_->require_subcommand(1);
        messages_ = app_->add_subcommand("messages", "Send, move, kill, compare every message.");
        messages_->footer(messages_footer);
        declare_numbers(*messages_);
        const auto text = [this](const char* name, std::string& value, const char* placeholder, const char* help) {
            messages_->add_option(name, value, help)->type_name(placeholder);
        };
        text("-n,--members", members_, "N", "Members at the start (4; with nodes two for each)");
        text("--emulate-nodes", nodes_, "K", "On K nodes, emulated on this machine");
        text("--job", job_, "ID", "Name of the job (else one is drawn)");
        messages_->add_flag("--calm", calm_, "Nobody joins, retires, moves or dies");
        messages_->add_flag("--timeline", timeline_, "Print what happens to the members");
        messages_->add_flag("-q,--quiet", quiet_, "No lines but the result");
        member_ = app_->add_subcommand("member", "")->group("");  // started by the other
        declare_numbers(*member_);
    }
    [[nodiscard]] bool chosen() const override { return app_->parsed(); }
    [[nodiscard]] int run() override {
        const auto test = checked();
        if (!test) return complain(test.error().sentence, wrong_usage);
        return member_->parsed() ? selftest::run_messages_member(*test) : start(*test);
    }

  private:
    void declare_numbers(CLI::App& command) {
        command.add_option("--messages", count_, "Messages to send at least (1000000)")->type_name("N");
        command.add_option("--vnodes", vnodes_, "VNodes, 2 to 1024 (32)")->type_name("V");
        command.add_option("--seed", seed_, "Of who sends to whom, and of what happens (1)")->type_name("S");
        command.add_flag("--json", json_, "The result as one JSON object");
        command.add_option("--plant", plant_, "")->group("");  // for the test of the test
    }

    [[nodiscard]] tl::expected<selftest::MessagesTest, Failure> checked() const {
        selftest::MessagesTest test;
        const auto number = [](const char* option, const std::string& text, std::uint64_t least, std::uint64_t most,
                               std::uint64_t usual) -> tl::expected<std::uint64_t, Failure> {
            const auto value = text.empty() ? std::optional{usual} : whole_number(text);
            if (!value || *value < least || *value > most)
                return refusal(Errc::invalid_argument,
                               fmt::format("{} {}: a number from {} to {} is expected; write for "
                                           "example {}.",
                                           option, text, least, most, usual));
            return *value;
        };
        const auto messages = number("--messages", count_, 1, 1'000'000'000'000, test.messages);
        if (!messages) return tl::unexpected(messages.error());
        const auto vnodes = number("--vnodes", vnodes_, 2, 1024, test.vnodes);
        if (!vnodes) return tl::unexpected(vnodes.error());
        const auto seed = number("--seed", seed_, 0, ~std::uint64_t{0}, test.seed);
        if (!seed) return tl::unexpected(seed.error());
        static const std::map<std::string, selftest::Plant> plants{{"", selftest::Plant::none},
                                                                   {"lose", selftest::Plant::lose},
                                                                   {"duplicate", selftest::Plant::duplicate},
                                                                   {"reorder", selftest::Plant::reorder},
                                                                   {"damage", selftest::Plant::damage}};
        const auto plant = plants.find(plant_);
        if (plant == plants.end())
            return refusal(Errc::invalid_argument, "--plant: lose, duplicate, reorder or damage is expected.");
        test.messages = *messages;
        test.vnodes = static_cast<std::uint32_t>(*vnodes);
        test.seed = *seed;
        test.json = json_;
        test.plant = plant->second;
        return test;
    }

    // More of everything for longer runs, and in the end more members than at the start: else the last one would be
    // alone with all VNodes.
    [[nodiscard]] std::string chaos(std::uint64_t messages) const {
        constexpr std::uint64_t messages_per_event = 500'000;
        const std::uint64_t events = std::clamp<std::uint64_t>(messages / messages_per_event, 2, 12);
        std::string text = fmt::format("seed={},kills={},retires={},joins={},moves=150", seed_.empty() ? "1" : seed_,
                                       1 + events / 4, events, 2 * events);
        if (!nodes_.empty() && nodes_ != "1") text += ",ports=2";
        return text;
    }

    [[nodiscard]] int start(const selftest::MessagesTest& test) const {
        std::vector<std::string> words{"run"};
        const auto add = [&words](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
        const auto nodes = nodes_.empty() ? std::optional<std::uint64_t>{1} : whole_number(nodes_);
        add({"-n", members_.empty() ? fmt::format("{}", std::max<std::uint64_t>(4, 2 * nodes.value_or(1))) : members_});
        if (!nodes_.empty()) add({"--emulate-nodes", nodes_});
        add({"--local"});
        if (!job_.empty()) add({"--job", job_});
        if (!calm_) add({"--chaos", chaos(test.messages)});
        if (timeline_) add({"--timeline"});
        if (quiet_) add({"-q"});
        add({own_program(), "selftest", "member", "--messages", fmt::format("{}", test.messages), "--vnodes",
             fmt::format("{}", test.vnodes), "--seed", fmt::format("{}", test.seed)});
        if (json_) add({"--json"});
        if (!plant_.empty()) add({"--plant", plant_});
        CLI::App application;
        RunCommand command;
        command.declare(application);
        std::reverse(words.begin(), words.end());  // as CLI11 takes them
        application.parse(words);
        const auto options = command.checked();
        if (!options) return complain(options.error().sentence, wrong_usage);
        return run_job(*options);
    }

    CLI::App* app_{nullptr};
    CLI::App* messages_{nullptr};
    CLI::App* member_{nullptr};
    std::string count_;
    std::string vnodes_;
    std::string seed_;
    std::string members_;
    std::string nodes_;
    std::string job_;
    std::string plant_;
    bool json_{false};
    bool calm_{false};
    bool timeline_{false};
    bool quiet_{false};
};

}  // namespace

std::unique_ptr<Command> make_selftest_command() { return std::make_unique<Selftest>(); }

}  // namespace phoenix::pflight

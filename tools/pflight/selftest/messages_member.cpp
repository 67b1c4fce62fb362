#include "pflight/selftest/messages_member.hpp"

#include "base/clock.hpp"
#include "pflight/selftest/stream_checker.hpp"

#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <phoenix/phoenix.hpp>
#include <string_view>
#include <vector>

namespace phoenix::pflight::selftest {

namespace {

constexpr std::array<std::string_view, 5> fault_names{"none", "lost", "duplicated", "reordered", "damaged"};

/// Of the streams that a VNode sends to and receives from, by the other VNode and the tag.
struct Ends {
    std::uint64_t sent{0};
    StreamState received;
};

class Program {
  public:
    Program(const MessagesTest& test, Domain& domain)
        : test_(test),
          traffic_(test.seed, test.vnodes),
          steps_(traffic_.steps_for(test.messages)),
          ends_(domain.field<Ends>("streams", Shape{std::uint64_t{test.vnodes} * tag_count})),
          totals_(domain.field<Totals>("totals", Shape{1})) {}

    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
    [[nodiscard]] Field<Totals> totals() const noexcept { return totals_; }

    void begin(VNode& self) const {
        const auto ends = self[ends_].write();
        for (std::uint32_t i = 0; i < test_.vnodes * tag_count; ++i) ends(i) = {};
        self[totals_].write()(0) = {};
    }

    void step(VNode& self) const {
        const auto ends = self[ends_].write();
        for (std::uint32_t tag = 0; tag < tag_count; ++tag) {
            const std::uint32_t to = traffic_.destination_of(self.step(), tag, self.index());
            send(self, {self.index(), to, tag}, ends(to * tag_count + tag).sent);
        }
        Totals& totals = self[totals_].write()(0);
        for (std::uint32_t turn = 0; turn < tag_count; ++turn) {
            const std::uint32_t tag = Traffic::tag_of(self.step(), turn);
            const std::uint32_t from = traffic_.source_of(self.step(), tag, self.index());
            StreamState& state = ends(from * tag_count + tag).received;
            for (std::uint32_t i = 0; i < burst_size; ++i) {
                const auto message = self.view<std::byte>(from, tag);
                take_message(test_.seed, {from, self.index(), tag}, message.values, state, totals);
            }
        }
    }

  private:
    void send(VNode& self, const Stream& stream, std::uint64_t& sent) const {
        const bool plant =
            test_.plant != Plant::none && self.step() == steps_ / 2 && stream.source == 1 && stream.tag == 0;
        for (std::uint32_t i = 0; i < burst_size; ++i) {
            if (plant && i == 3 && test_.plant == Plant::lose) ++sent;
            if (plant && i == 3 && test_.plant == Plant::duplicate) --sent;
            std::uint64_t sequence = sent++;
            // 3 and 4 change places.
            if (plant && test_.plant == Plant::reorder && (i == 3 || i == 4)) sequence += i == 3 ? 1 : -1;
            auto room = self.loan<std::byte>(size_of_message(test_.seed, stream, sequence));
            write_message(test_.seed, stream, sequence, room.values());
            if (plant && i == 3 && test_.plant == Plant::damage) room.values().back() ^= std::byte{0x10};
            room.send(stream.destination, stream.tag);
        }
    }

    MessagesTest test_;
    Traffic traffic_;
    std::uint64_t steps_;
    Field<Ends> ends_;
    Field<Totals> totals_;
};

std::string result_for_people(const MessagesTest& test, const Totals& totals, std::uint64_t steps, double seconds) {
    std::string text = fmt::format(
        "{} messages ({:.2f} GB) in {} streams between {} VNodes, {} steps, {:.1f} s: {} lost, {} duplicated, {} "
        "reordered, {} damaged.\n",
        totals.messages, static_cast<double>(totals.bytes) / 1e9, std::uint64_t{test.vnodes} * test.vnodes * tag_count,
        test.vnodes, steps, seconds, totals.lost, totals.duplicated, totals.reordered, totals.damaged);
    if (!totals.good())
        text += fmt::format("The first that was wrong: message {} from VNode {} to VNode {} with tag {} was {}.\n",
                            totals.first_sequence, totals.first_stream.source, totals.first_stream.destination,
                            totals.first_stream.tag, fault_names.at(static_cast<std::size_t>(totals.first_fault)));
    return text;
}

std::string result_as_json(const MessagesTest& test, const Totals& totals, std::uint64_t steps, double seconds) {
    nlohmann::ordered_json json{{"test", "messages"},
                                {"good", totals.good()},
                                {"messages", totals.messages},
                                {"bytes", totals.bytes},
                                {"vnodes", test.vnodes},
                                {"steps", steps},
                                {"seed", test.seed},
                                {"seconds", seconds},
                                {"lost", totals.lost},
                                {"duplicated", totals.duplicated},
                                {"reordered", totals.reordered},
                                {"damaged", totals.damaged}};
    if (!totals.good())
        json["first"] = {{"fault", fault_names.at(static_cast<std::size_t>(totals.first_fault))},
                         {"source", totals.first_stream.source},
                         {"destination", totals.first_stream.destination},
                         {"tag", totals.first_stream.tag},
                         {"sequence", totals.first_sequence}};
    return json.dump() + "\n";
}

}  // namespace

int run_messages_member(const MessagesTest& test) {
    int no_arguments = 0;
    char** arguments = nullptr;
    Runtime runtime{no_arguments, arguments};
    Domain domain = runtime.domain("selftest", {.vnodes = test.vnodes});
    const Program program{test, domain};
    const auto began_ns = runtime.once("began", [] { return boot_time_ns(); });
    domain.initialise([&](VNode& self) { program.begin(self); });
    domain.run(program.steps(), [&](VNode& self) { program.step(self); });
    const bool all_good = domain.gather(program.totals(), [&](const Gathered<Totals>& parts) {
        Totals all;
        for (std::uint32_t v = 0; v < parts.vnodes(); ++v) all.add(parts[v](0));
        const double seconds = static_cast<double>(boot_time_ns() - began_ns) * 1e-9;
        fmt::print("{}", (test.json ? result_as_json : result_for_people)(test, all, program.steps(), seconds));
        std::fflush(stdout);
        return all.good();
    });
    return all_good ? 0 : 1;
}

}  // namespace phoenix::pflight::selftest

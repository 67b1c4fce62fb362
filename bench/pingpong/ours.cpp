// Ping-pong between two VNodes in two members, through the public interface.
//
//   bench_pingpong inside    all round trips of a sample in one step
//   bench_pingpong steps     one round trip in each step: commits and releases are part of the time
//   bench_pingpong joined    as inside, 8 bytes only, with a member that has joined: start it with -n 1

#include "pingpong/workload.hpp"
#include "support/pinning.hpp"
#include "support/samples.hpp"

#include <phoenix/phoenix.hpp>
#include <string_view>
#include <vector>

namespace {

using pingpong::Case;

/// Buffers of the copying exchange and what was measured; of this process, no part of any result.
struct Bench {
    std::vector<std::uint64_t> buffer;
    std::vector<double> samples_ns;
    std::int64_t began{0};
    bool good{true};
};

void send_number(phoenix::VNode& self, Bench& bench, const Case& what, std::uint64_t number) {
    const std::uint32_t peer = 1 - self.index();
    if (what.filled) {
        auto room = self.loan<std::uint64_t>(what.words);
        pingpong::write_message(room.values(), number, true);
        room.send(peer, pingpong::message_tag);
        return;
    }
    const std::span<std::uint64_t> words{bench.buffer.data(), what.words};
    pingpong::write_message(words, number, false);
    self.send(peer, pingpong::message_tag, words);
}

void receive_number(phoenix::VNode& self, Bench& bench, const Case& what, std::uint64_t number) {
    const std::uint32_t peer = 1 - self.index();
    if (what.filled) {
        const auto message = self.view<std::uint64_t>(peer, pingpong::message_tag);
        bench.good = bench.good && pingpong::right_message(message.values, number, true);
        return;
    }
    const std::span<std::uint64_t> words{bench.buffer.data(), what.words};
    self.receive(peer, pingpong::message_tag, words);
    bench.good = bench.good && pingpong::right_message(words, number, false);
}

void round_trip(phoenix::VNode& self, Bench& bench, const Case& what, std::uint64_t number) {
    if (self.index() == 0) {
        send_number(self, bench, what, number);
        receive_number(self, bench, what, number + 1);
    } else {
        receive_number(self, bench, what, number);
        send_number(self, bench, what, number + 1);
    }
}

void run_case(phoenix::Runtime& runtime, const Case& what, bool inside) {
    Bench bench;
    bench.buffer.assign(what.words, 1);
    auto domain = runtime.domain(what.name, {.vnodes = 2});
    // A phase before the timed one: both members are there and their logs exist.
    domain.run(1, [&](phoenix::VNode& self) { round_trip(self, bench, what, 0); });
    if (domain.owner(0) == domain.owner(1))
        throw phoenix::Error{phoenix::Errc::wrong_state, "both VNodes have one owner: run it with pflight run -n 2"};
    const std::uint64_t steps_per_sample = inside ? 1 : what.round_trips;
    const std::uint32_t trips_per_step = inside ? what.round_trips : 1;
    const auto note = [&](std::uint64_t step) {
        const std::int64_t now = bench::now_ns();
        if (step >= (what.warm_up() + 1) * steps_per_sample)
            bench.samples_ns.push_back(static_cast<double>(now - bench.began) / (2.0 * what.round_trips));
        bench.began = now;
    };
    const std::uint64_t steps = (what.samples + what.warm_up()) * steps_per_sample;
    domain.run(steps, [&](phoenix::VNode& self) {
        // Inside a step: from its first message on, since the commit before it is measured by the other way.
        if (inside)
            bench.began = bench::now_ns();
        else if (self.step() % steps_per_sample == 0)
            note(self.step());
        for (std::uint32_t trip = 0; trip < trips_per_step; ++trip)
            round_trip(self, bench, what, (self.step() * trips_per_step + trip) * 2);
        if (inside) note(self.step() + 1);
    });
    if (!inside) note(steps);
    bool good = false;
    domain.run(1, [&](phoenix::VNode& self) { good = self.all_reduce(phoenix::min, bench.good ? 1 : 0) == 1; });
    if (domain.owner(0) == runtime.member()) bench::print_samples(what.name, bench.samples_ns, good);
}

// Asks for a second member and returns when it has one of two VNodes.
void wait_for_second_member(phoenix::Runtime& runtime) {
    runtime.once("grow", [&] { runtime.grow(1); });
    auto domain = runtime.domain("waiting", {.vnodes = 2});
    domain.run(~std::uint64_t{0}, [&](phoenix::VNode& self) {
        const auto member = static_cast<std::int64_t>(runtime.member());
        if (self.all_reduce(phoenix::max, member) != self.all_reduce(phoenix::min, member)) self.stop();
    });
}

}  // namespace

int main(int argc, char** argv) {
    phoenix::Runtime runtime{argc, argv};
    bench::pin_to_core(runtime.member());
    const std::string_view mode = argc < 2 ? "inside" : argv[1];
    if (mode == "joined") wait_for_second_member(runtime);
    for (const Case& what : pingpong::cases)
        if (mode != "joined" || std::string_view{what.name} == "8B") run_case(runtime, what, mode != "steps");
    return 0;
}

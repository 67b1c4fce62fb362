// Frames between two hubs.

#include "transport/ours.hpp"

#include "transport/hub.hpp"

#include <cstdio>
#include <memory>
#include <utility>

namespace transport_bench {

namespace {

using namespace phoenix;

/// One process's end: counts what comes and is acknowledged.
class Side final : public TransportEvents {
  public:
    explicit Side(const Case& what) : case_(what) {}
    void connected(NodeId, SessionId) override { up = true; }
    Landing place(NodeId, const Incoming& incoming) override {
        if (incoming.lane == Lane::prompt) return Landing::transient();
        // The streams are not equally fast: some frames begin to arrive before the next one is complete.
        if (free_.empty()) free_.push_back(room_.emplace_back(case_.bytes).data());
        std::byte* const place = free_.back();
        free_.pop_back();
        return Landing::at(place);
    }
    void frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) override {
        good = good && right_message(payload, arrived++);
        if (incoming.lane == Lane::bulk) free_.push_back(const_cast<std::byte*>(payload.data()));
        if (echo == nullptr) return;
        good = good && echo->send(from, {.pieces = std::span{&payload, 1}, .copy = true}).has_value();
    }
    void withdrawn(NodeId, std::byte*) override {}
    void acknowledged(NodeId, std::uint64_t) override { ++accepted; }
    void link_lost(NodeId, LinkEnd reason, std::string_view) override {
        lost = true;
        good = good && reason == LinkEnd::closed;
    }
    void peer_restarted(NodeId) override { good = false; }
    void refused(const Refusal&) override { good = false; }

    bool up{false};
    bool lost{false};
    bool good{true};
    std::uint64_t arrived{0};
    std::uint64_t accepted{0};
    Hub* echo{nullptr};

  private:
    const Case& case_;
    std::vector<std::vector<std::byte>> room_;
    std::vector<std::byte*> free_;
};

std::unique_ptr<Hub> make_hub(std::uint32_t node, Side& side) {
    HubOptions options;
    options.node = NodeId{node};
    options.job_id = "bench";
    auto hub = Hub::create(options, side);
    if (!hub) {
        std::fprintf(stderr, "bench_transport: %s\n", hub.error().sentence.c_str());
        _exit(2);
    }
    return std::move(*hub);
}

bool receive(const Case& what, int pipe_end) {
    Side side{what};
    const auto hub = make_hub(2, side);
    if (what.echo) side.echo = hub.get();
    const std::string address = hub->address();
    if (write(pipe_end, address.data(), address.size()) < 0) return false;
    while (!side.lost) hub->poll(-1);
    return side.good && side.arrived == what.total();
}

bool send(const Case& what, int pipe_end, Samples& samples) {
    char address[64] = {};
    if (read(pipe_end, address, sizeof address - 1) <= 0) return false;
    Side side{what};
    const auto hub = make_hub(1, side);
    if (!hub->connect(NodeId{2}, address)) return false;
    while (!side.up && !side.lost) hub->poll(-1);
    std::vector<std::vector<std::byte>> messages(what.echo || what.messages == 1 ? 1 : what.messages,
                                                 std::vector<std::byte>(what.bytes, std::byte{1}));
    std::uint64_t number = 0;
    for (std::uint32_t sample = 0; sample < what.samples + what.warm_up() && !side.lost; ++sample) {
        samples.begin();
        for (std::uint32_t i = 0; i < what.messages && !side.lost; ++i) {
            std::vector<std::byte>& bytes = messages[i % messages.size()];
            write_message(bytes, number);
            const std::span<const std::byte> piece{bytes};
            const Lane lane = what.echo ? Lane::prompt : Lane::bulk;
            if (!hub->send(NodeId{2},
                           {.lane = lane, .pieces = std::span{&piece, 1}, .checked = what.checked, .cookie = ++number}))
                return false;
            while (what.echo && side.arrived < number && !side.lost) hub->poll(-1);
            while (!what.echo && !hub->writable(NodeId{2}) && !side.lost) hub->poll(-1);
        }
        while (!what.echo && side.accepted < number && !side.lost) hub->poll(-1);
        samples.end(sample);
    }
    while (side.accepted < number && !side.lost) hub->poll(-1);
    return side.good && !side.lost;
}

}  // namespace

bool run_ours(const Case& what) {
    int ends[2];
    if (pipe(ends) != 0) return false;
    Samples samples{what};
    const bool good =
        in_two_processes([&] { return receive(what, ends[1]); }, [&] { return send(what, ends[0], samples); });
    samples.print(good);
    return good;
}

}  // namespace transport_bench

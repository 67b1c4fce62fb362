#pragma once
/// A carrier between the processes of a test: transfers happen bit by bit when the test says so, stand still, fail, and
/// write on after they were given up, by seed.

#include "transport/carrier.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace phoenix::sim {

class SimulatedCarrier;

class CarrierWorld {
  public:
    explicit CarrierWorld(std::uint64_t seed) : random_(seed) {}
    [[nodiscard]] std::unique_ptr<SimulatedCarrier> start();
    /// One transfer goes on a little. False: there is none that could.
    bool step();
    /// Nothing moves between two ranks any more, whichever way.
    void silence(std::uint32_t left, std::uint32_t right) { silent_.insert(std::minmax(left, right)); }
    /// One in so many transfers fails; 0: none.
    std::uint32_t fail_one_in{0};
    /// One in so many arrives with a wrong byte; 0: none.
    std::uint32_t damage_one_in{0};
    /// Called before memory of a receive is written to.
    std::function<void(std::uint32_t rank, std::byte* at)> on_write;
    std::uint64_t completed{0};
    std::uint64_t cancelled{0};
    std::uint64_t written_after_cancel{0};

  private:
    friend class SimulatedCarrier;
    struct Receive {
        WritePieces pieces;
        bool cancelled{false};
        bool begun{false};
    };
    struct Send {
        std::vector<std::byte> bytes;  ///< As they were when it was asked for.
    };
    struct Side {
        std::uint32_t from, to, tag;
        friend auto operator<=>(const Side&, const Side&) = default;
    };
    std::mt19937_64 random_;
    std::uint32_t ranks_{0};
    std::map<std::uint32_t, SimulatedCarrier*> carriers_;
    std::set<std::pair<std::uint32_t, std::uint32_t>> silent_;
};

class SimulatedCarrier final : public Carrier {
  public:
    SimulatedCarrier(CarrierWorld& world, std::uint32_t rank) : world_(world), rank_(rank) {}
    ~SimulatedCarrier() override { world_.carriers_.erase(rank_); }

    [[nodiscard]] std::optional<CarrierPlace> place() const noexcept override {
        return up ? std::optional{CarrierPlace{7, rank_}} : std::nullopt;
    }
    [[nodiscard]] std::uint64_t stuck_ns() const noexcept override { return stuck ? ~std::uint64_t{0} : 0; }
    void receive(std::uint64_t id, std::uint32_t rank, std::uint32_t tag, WritePieces pieces) override {
        receives_[{rank, rank_, tag}] = {id, {std::move(pieces)}};
    }
    void send(std::uint64_t id, std::uint32_t rank, std::uint32_t tag, ReadPieces pieces) override {
        CarrierWorld::Send send;
        for (const auto& piece : pieces) send.bytes.insert(send.bytes.end(), piece.begin(), piece.end());
        sends_[{rank_, rank, tag}] = {id, std::move(send)};
    }
    void cancel(std::uint64_t id) override {
        for (auto& [side, receive] : receives_)
            if (receive.first == id) receive.second.cancelled = true;
    }
    [[nodiscard]] std::optional<EndedTransfer> next_ended() override {
        if (ended_.empty() || stuck) return std::nullopt;
        const EndedTransfer first = ended_.front();
        ended_.pop_front();
        return first;
    }
    [[nodiscard]] int descriptor() const noexcept override { return -1; }

    [[nodiscard]] std::uint32_t rank() const noexcept { return rank_; }
    bool up{true};
    bool stuck{false};

  private:
    friend class CarrierWorld;
    CarrierWorld& world_;
    std::uint32_t rank_;
    std::map<CarrierWorld::Side, std::pair<std::uint64_t, CarrierWorld::Receive>> receives_;
    std::map<CarrierWorld::Side, std::pair<std::uint64_t, CarrierWorld::Send>> sends_;
    std::deque<EndedTransfer> ended_;
};

}  // namespace phoenix::sim

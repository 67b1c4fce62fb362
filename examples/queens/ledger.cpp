#include "queens/ledger.hpp"

#include "queens/board.hpp"

#include <algorithm>

namespace queens {

void Ledger::member_came(std::uint32_t desk) { desks_.insert_or_assign(desk, State::busy); }

std::vector<Ledger::Ask> Ledger::member_hungry(std::uint32_t desk) {
    desks_[desk] = State::hungry;
    waiting_.push_back(desk);
    return match();
}

std::vector<Ledger::Ask> Ledger::member_shared(std::uint32_t desk, std::uint32_t with, std::uint32_t count) {
    // It may have become hungry since it was asked; then it stays that.
    if (desks_[desk] == State::asked) desks_[desk] = State::busy;
    totals_.hand_overs += count;
    if (count == 0) {
        // Whoever had nothing to spare will not have more before some task is done: no use in asking on at once.
        waiting_.push_back(with);
        return {};
    }
    desks_[with] = State::busy;
    return match();
}

std::vector<Ledger::Ask> Ledger::task_done(std::uint64_t credit, std::uint64_t solutions) {
    credit_ += credit;
    totals_.solutions += solutions;
    return finished() ? std::vector<Ask>{} : match();
}

bool Ledger::finished() const noexcept { return credit_ == credit_total; }

std::vector<std::uint32_t> Ledger::desks() const {
    std::vector<std::uint32_t> result;
    for (const auto& [desk, state] : desks_) result.push_back(desk);
    return result;
}

std::vector<Ledger::Ask> Ledger::match() {
    std::vector<Ask> asks;
    while (!waiting_.empty()) {
        // Round the busy ones, beginning behind the one asked last.
        const auto is_busy = [](const auto& entry) { return entry.second == State::busy; };
        auto busy = std::find_if(desks_.upper_bound(asked_last_), desks_.end(), is_busy);
        if (busy == desks_.end()) busy = std::find_if(desks_.begin(), desks_.end(), is_busy);
        if (busy == desks_.end()) break;
        busy->second = State::asked;
        asked_last_ = busy->first;
        asks.push_back({busy->first, waiting_.front()});
        waiting_.pop_front();
    }
    return asks;
}

}  // namespace queens

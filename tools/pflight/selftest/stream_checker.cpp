#include "pflight/selftest/stream_checker.hpp"

namespace phoenix::pflight::selftest {

namespace {

constexpr std::uint64_t window = 64;  // bits of StreamState::seen

void note(Totals& totals, const Stream& stream, std::uint64_t sequence, Fault fault) noexcept {
    if (totals.first_fault != Fault::none) return;
    totals.first_fault = fault;
    totals.first_stream = stream;
    totals.first_sequence = sequence;
}

// Everything before `next` has come or is missing; `came`: the message just before it has come.
void go_on(StreamState& state, std::uint64_t next, bool came) noexcept {
    const std::uint64_t distance = next - state.expected;
    state.seen = distance >= window ? 0 : state.seen << distance;
    if (came) state.seen |= 1;
    state.expected = next;
}

}  // namespace

void Totals::add(const Totals& other) noexcept {
    messages += other.messages;
    bytes += other.bytes;
    lost += other.lost;
    duplicated += other.duplicated;
    reordered += other.reordered;
    damaged += other.damaged;
    if (other.first_fault != Fault::none) note(*this, other.first_stream, other.first_sequence, other.first_fault);
}

void take_message(std::uint64_t seed, const Stream& stream, std::span<const std::byte> message, StreamState& state,
                  Totals& totals) noexcept {
    ++totals.messages;
    totals.bytes += message.size();
    const Reading reading = read_message(seed, stream, message);
    const std::uint64_t sequence = reading.sequence.value_or(state.expected);
    if (!reading.whole) {
        ++totals.damaged;
        note(totals, stream, sequence, Fault::damaged);
    }
    if (sequence >= state.expected) {
        const std::uint64_t missing = sequence - state.expected;
        if (missing != 0) {
            totals.lost += missing;
            note(totals, stream, state.expected, Fault::lost);
        }
        return go_on(state, sequence + 1, true);
    }
    const std::uint64_t back = state.expected - 1 - sequence;
    if (back < window && (state.seen >> back & 1) == 0) {
        state.seen |= std::uint64_t{1} << back;
        --totals.lost;  // it was counted when the gap was seen
        ++totals.reordered;
        if (totals.first_fault == Fault::lost && totals.first_stream == stream && totals.first_sequence == sequence)
            totals.first_fault = Fault::reordered;
        return note(totals, stream, sequence, Fault::reordered);
    }
    ++totals.duplicated;
    note(totals, stream, sequence, Fault::duplicated);
}

}  // namespace phoenix::pflight::selftest

#include "runtime/member_context.hpp"

#include "base/check.hpp"
#include "messaging/doorbell.hpp"

#include <algorithm>
#include <cstring>

namespace phoenix {

View read_view(const ControlSegment& segment) {
    for (;;) {
        const ViewWord word{segment.header().view_current.load(std::memory_order_acquire)};
        if (word.number().value == 0) return {};
        ViewImage image;
        std::memcpy(&image, segment.view_buffer(word.buffer()), sizeof image);
        std::atomic_thread_fence(std::memory_order_acquire);
        if (ViewWord{segment.header().view_current.load(std::memory_order_relaxed)} != word) continue;
        const auto view = view_of(image);
        PHOENIX_CHECK_NOTE(view.has_value(), "the view in force is damaged");
        return *view;
    }
}

View MemberContext::current_view() const { return read_view(segment()); }

bool MemberContext::seen_dead(std::uint32_t member, std::uint32_t member_incarnation) const {
    const View view = current_view();
    const MemberEntry& entry = view.at(MemberSlot{member});
    if (entry.incarnation.value != member_incarnation) return entry.incarnation.value > member_incarnation;
    return entry.state == MemberState::failed || entry.state == MemberState::retired;
}

bool MemberContext::slot_is_gone(std::uint32_t member) const {
    const MemberState state = current_view().at(MemberSlot{member}).state;
    return state == MemberState::failed || state == MemberState::retired;
}

void MemberContext::ring_sleeping_port() const noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the fence in prepare_sleep
    const std::uint32_t port = header().port.load(std::memory_order_acquire);
    if (port != 0 && port - 1 != slot) ring_if_sleeping(segment().member(port - 1));
}

std::uint32_t MemberContext::failed_members() const {
    const View view = current_view();
    return static_cast<std::uint32_t>(
        std::count_if(view.members.begin(), view.members.end(),
                      [](const MemberEntry& entry) { return entry.state == MemberState::failed; }));
}

void MemberContext::fail_quietly(Errc code, std::string_view sentence) const noexcept {
    segment().decide_outcome(Outcome::failed, code, sentence);
    ring_all();
}

void MemberContext::fail(Errc code, std::string_view sentence) const {
    fail_quietly(code, sentence);
    throw_if_ended();
    throw Error{code, std::string{sentence}};
}

void MemberContext::throw_if_ended() const {
    Outcome outcome = segment().outcome();
    // Somebody writes the text: a few stores, unless it died right there; the limit makes that harmless.
    for (int look = 0; outcome == Outcome::deciding && look < 1'000'000; ++look) outcome = segment().outcome();
    if (outcome == Outcome::running || outcome == Outcome::completed) return;
    std::string text = segment().outcome_text();
    if (text.empty()) text = outcome == Outcome::interrupted ? "The job was interrupted." : "The job has failed.";
    const auto code =
        outcome == Outcome::interrupted ? Errc::interrupted : static_cast<Errc>(segment().header().outcome_code);
    throw Error{outcome == Outcome::deciding ? Errc::internal : code, text};
}

}  // namespace phoenix

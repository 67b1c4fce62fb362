#include "pflight/request_progress.hpp"

#include "pflight/member_name.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace phoenix::pflight {

namespace {

const MemberView* member_in(std::uint32_t slot, const std::vector<MemberView>& members) noexcept {
    const auto found = std::find_if(members.begin(), members.end(),
                                    [&](const MemberView& member) { return member.slot == slot && !member.port; });
    return found == members.end() ? nullptr : &*found;
}

bool takes_part(const MemberView& member) noexcept {
    return !member.port && (member.state == MemberState::active || member.state == MemberState::draining);
}

std::string members_listed(const std::vector<MemberView>& members, std::optional<std::uint32_t> node) {
    std::vector<std::string> names;
    for (const MemberView& member : members)
        if (takes_part(member)) names.push_back(text_of(MemberName{node, member.slot}));
    return names.empty() ? "none is active" : fmt::format("active are {}", fmt::join(names, ", "));
}

}  // namespace

Growth growth_since(const std::vector<MemberView>& before, std::uint32_t grow_failed,
                    const std::vector<MemberView>& now) {
    Growth growth{{}, grow_failed};
    for (const MemberView& member : now) {
        if (member.port) continue;
        const MemberView* known = member_in(member.slot, before);
        if (known != nullptr && known->incarnation == member.incarnation) continue;
        if (member.state == MemberState::failed)
            ++growth.lost;
        else if (member.state != MemberState::joining)
            growth.joined.push_back(member.slot);
    }
    return growth;
}

std::uint32_t free_slots(const std::vector<MemberView>& now, std::uint32_t asked_for) noexcept {
    const auto left = std::count_if(now.begin(), now.end(),
                                    [](const MemberView& member) { return member.state == MemberState::retired; });
    const auto used = static_cast<std::uint32_t>(now.size()) - static_cast<std::uint32_t>(left) + asked_for;
    return used < member_count_max ? member_count_max - used : 0;
}

std::optional<std::string> retirement_refusal(std::string_view job_id, std::uint32_t slot, bool limited,
                                              const std::vector<MemberView>& now, std::optional<std::uint32_t> node) {
    const std::string name = text_of(MemberName{node, slot});
    const MemberView* member = member_in(slot, now);
    if (member == nullptr)
        return fmt::format("There is no member {} in job '{}'; {}.", name, job_id, members_listed(now, node));
    switch (member->state) {
        case MemberState::retired:
            return fmt::format("Member {} has left job '{}' already; {}.", name, job_id, members_listed(now, node));
        case MemberState::failed:
            return fmt::format("Member {} of job '{}' is dead, and others have its VNodes or get them now; {}.", name,
                               job_id, members_listed(now, node));
        case MemberState::draining:
            return fmt::format("Member {} of job '{}' drains already; 'pflight members' shows how many VNodes it has.",
                               name, job_id);
        case MemberState::active:
        case MemberState::joining:
        case MemberState::empty: break;
    }
    if (member->wish == RetireWish::wanted)
        return fmt::format("Member {} of job '{}' has been asked to retire already.", name, job_id);
    if (limited && member->vnodes_of_spaces != 0)
        return fmt::format(
            "Member {} has {} VNodes of a space: only the application can release them, and killing the "
            "member at its drain timeout would end the job; write --drain-timeout 0 to wait for the "
            "application.",
            name, member->vnodes_of_spaces);
    return std::nullopt;
}

Retirement retirement_of(std::uint32_t slot, std::uint32_t incarnation, const std::vector<MemberView>& now) noexcept {
    const MemberView* member = member_in(slot, now);
    // The slot is being claimed by its successor, or has one.
    if (member == nullptr || member->incarnation != incarnation) return Retirement::retired;
    if (member->state == MemberState::failed) return Retirement::died;
    if (member->state == MemberState::retired) return member->drained ? Retirement::retired : Retirement::ended;
    return member->wish == RetireWish::refused ? Retirement::kept : Retirement::going_on;
}

std::string growth_text(const Growth& growth, std::uint32_t wanted, std::optional<std::uint32_t> node) {
    std::vector<std::string> names;
    for (const std::uint32_t slot : growth.joined) names.push_back(text_of(MemberName{node, slot}));
    const std::size_t count = growth.joined.size();
    if (count == 0) return "no member joined";
    const std::string number = count < wanted ? fmt::format("{} of {}", count, wanted) : std::to_string(count);
    return fmt::format("{} {} joined: {}", number, count == 1 && wanted <= 1 ? "member" : "members",
                       fmt::join(names, ", "));
}

}  // namespace phoenix::pflight

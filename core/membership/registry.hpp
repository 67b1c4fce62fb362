#pragma once
/// Registries of one process: who is there, who can do what, which domains exist. oneTBB concurrent containers inside
/// (only registry.cpp includes them); readers take no lock and are never blocked by somebody joining or leaving.

#include "base/ids.hpp"
#include "membership/view.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace phoenix {

/// What a process knows of a member, as of one moment.
struct RegisteredMember {
    MemberSlot slot{};
    MemberState state{MemberState::empty};
    Incarnation incarnation{};
    pid_t pid{};
    std::vector<std::string> capabilities;

    [[nodiscard]] bool has(std::string_view capability) const noexcept;
};

/// Member records (slot -> record) and the capability index over them.
///
/// Invariant: a member is what the one word of its slot says; a change is one release store. Lists of capabilities are
/// kept once each and never go, the word names one of them; the capability index only ever grows and is a hint: what a
/// reader finds there counts only if the word behind it says so too. So a reader sees a member whole (with its
/// capabilities) or not at all, and members that come and go cost no memory.
/// @threads put() and set_state(): one at a time per registry (the service thread); all else: any number.
class MemberRegistry {
  public:
    MemberRegistry();
    MemberRegistry(const MemberRegistry&) = delete;
    MemberRegistry& operator=(const MemberRegistry&) = delete;
    ~MemberRegistry();

    static constexpr std::size_t capability_lists_max = 128;

    /// Registers `member`, in place of what the slot held. Idempotent. False and nothing changed if it is older than
    /// what is there (lower incarnation), or has one list of capabilities too many.
    bool put(const RegisteredMember& member);
    /// Changes the state of `incarnation` in `slot`; false if that one is not registered.
    bool set_state(MemberSlot slot, Incarnation incarnation, MemberState state);

    /// Nothing if nobody was ever registered in `slot`.
    [[nodiscard]] std::optional<RegisteredMember> find(MemberSlot slot) const;
    /// ACTIVE members that have `capability`, ascending by slot.
    [[nodiscard]] std::vector<MemberSlot> members_with(std::string_view capability) const;
    /// ACTIVE members, ascending by slot.
    [[nodiscard]] std::vector<MemberSlot> active_members() const;

  private:
    struct Tables;
    std::unique_ptr<Tables> tables_;
};

struct RegisteredDomain {
    std::string name;
    std::uint32_t vnode_count{};
    friend bool operator==(const RegisteredDomain&, const RegisteredDomain&) = default;
};

/// Domains and spaces by name. One lives as long as the job, so entries never change nor go.
/// @threads Any.
class DomainRegistry {
  public:
    DomainRegistry();
    DomainRegistry(const DomainRegistry&) = delete;
    DomainRegistry& operator=(const DomainRegistry&) = delete;
    ~DomainRegistry();

    /// The entry of that name: the one given, or the one that was there first (compare to notice a mismatch).
    const RegisteredDomain& add(RegisteredDomain domain);
    /// Null if there is none. Valid as long as the registry.
    [[nodiscard]] const RegisteredDomain* find(std::string_view name) const;

  private:
    struct Tables;
    std::unique_ptr<Tables> tables_;
};

}  // namespace phoenix

#pragma once
/// Registries of one process: who is there, who can do what, which domains exist. oneTBB concurrent containers inside
/// (only registry.cpp includes them); readers take no lock and are never blocked by somebody joining or leaving.

#include "base/ids.hpp"
#include "membership/view.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace phoenix {

/// What a process knows of a member, as of one moment. Immutable once registered.
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
/// Invariant: a member is what the one pointer of its slot points to; a change builds a new record and publishes it by
/// one release store. The capability index only ever grows and is a hint: what a reader finds there counts only if the
/// record behind it says so too. So a reader sees a member whole (record and capabilities together) or not at all.
/// Records that were replaced live as long as the registry, because a reader may still look at them: the cost is one
/// record per change of membership, some 200 bytes.
/// @threads put() and set_state(): one at a time per registry (the service thread); all else: any number.
class MemberRegistry {
  public:
    MemberRegistry();
    MemberRegistry(const MemberRegistry&) = delete;
    MemberRegistry& operator=(const MemberRegistry&) = delete;
    ~MemberRegistry();

    /// Registers `member`, in place of what the slot held. Idempotent. False and nothing changed if it is older than
    /// what is there (lower incarnation).
    bool put(RegisteredMember member);
    /// Changes the state of `incarnation` in `slot`; false if that one is not registered.
    bool set_state(MemberSlot slot, Incarnation incarnation, MemberState state);

    /// Null if nobody was ever registered in `slot`. Valid as long as the registry.
    [[nodiscard]] const RegisteredMember* find(MemberSlot slot) const noexcept;
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

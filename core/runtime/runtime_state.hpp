#pragma once
/// The runtime of one member: what Runtime, domains and spaces stand on.

#include "membership/registry.hpp"
#include "runtime/domain_state.hpp"
#include "runtime/faults.hpp"
#include "runtime/service.hpp"

#include <phoenix/runtime.hpp>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace phoenix::detail {

class SpaceState;

/// Among whom something is done once.
enum class OnceScope : std::uint8_t {
    job,  ///< One member of all nodes does it; all get its result.
    node  ///< One member of each node: what concerns the node's own memory.
};

class RuntimeState {
  public:
    RuntimeState(int& argc, char**& argv, World* world);
    RuntimeState(const RuntimeState&) = delete;
    RuntimeState& operator=(const RuntimeState&) = delete;
    ~RuntimeState();

    /// Runs `f` in one member and records its result; waits for it elsewhere.
    std::string once(std::string_view cell_name, const std::function<std::string()>& f,
                     OnceScope scope = OnceScope::job);
    /// The recorded result, if there is one.
    [[nodiscard]] bool recorded(std::string_view cell_name, std::string& result);
    /// Records a result that every member computes alike.
    void record(std::string_view cell_name, std::string_view result);

    /// Reads all logs; records go to the domains and spaces that know their destinations.
    std::size_t poll();
    /// poll(), and after news the parting from members that are gone (Mailroom::part_from_the_gone): their slots are
    /// used again only when everybody has done this. Between steps, or while nothing of this member runs.
    void poll_and_part();
    void part_from_the_gone();
    /// Sets bits of records whose receivers' commits consumed them, and gives their memory back.
    void sweep();
    /// Bytes to last for the life of the job, filled.
    [[nodiscard]] std::uint64_t keep_bytes(std::string_view bytes);
    /// Wakes this member's service thread if there is news for it. Service threads sleep in poll() and cannot be rung
    /// by other processes; whoever rings wakes main threads, and those pass it on.
    /// If this member drains and owns nothing any more: publishes that it leaves, waits (over several calls) for the
    /// view that retires it, and ends the process with status 0. Nothing may be taken while it waits. Comes back if
    /// everybody else has died meanwhile.
    void leave_if_drained();
    [[nodiscard]] bool waits_to_retire() const noexcept { return waits_to_retire_; }
    /// Sleeps until there is news after `attention_before`, or a little while; throws if the job has ended.
    void wait_for_news(std::uint32_t attention_before);
    /// Throws what a Failure says, as the job's end.
    [[noreturn]] void raise(const Failure& failure) const { context.fail(failure.code, failure.sentence); }

    /// Another ACTIVE member, the next one by slot; this one if it is alone.
    [[nodiscard]] std::uint32_t next_member() const;

    DomainState& add_domain(std::string_view name, const DomainOptions& options);
    SpaceState& add_space(std::string_view name, const SpaceOptions& options);
    /// Index of a domain or space that has been made in shared memory. Claims the next place for a new one.
    [[nodiscard]] std::uint32_t publish_domain(std::uint64_t header_offset, DomainHeader& header);

    MemberContext context;
    World* world;
    ExtentPool pool;
    Mailroom mail;
    FiberPool fibers;
    std::unique_ptr<Service> service;
    FaultWatch faults;
    DomainRegistry domains_by_name;
    std::vector<std::unique_ptr<DomainState>> domains;
    std::vector<std::unique_ptr<SpaceState>> spaces;
    std::array<DomainState*, domain_count_max> domain_by_index{};
    std::array<SpaceState*, domain_count_max> space_by_index{};

  private:
    std::uint32_t attention_parted_{0};
    bool waits_to_retire_{false};
    /// Claimed on this node: whether the home node lets this node do it. Asks if nobody has.
    [[nodiscard]] bool is_our_turn(OnceCell& cell) const;
    [[nodiscard]] std::string do_once(const OnceCell& cell, const std::function<std::string()>& f) const;
    void wait_until_active();
    void restore_once_results();
    void check_name(std::string_view name, std::uint32_t vnodes) const;
};

/// Record of a checkpoint that holds the name of the program that wrote it.
inline constexpr std::string_view program_record = "program";

/// Time spent waiting in one go before looking at everything again, ns.
inline constexpr std::uint64_t idle_look_ns = 100'000'000;

}  // namespace phoenix::detail

#pragma once
/// The machines of a job as people name them, and how its members are shared out over them. Pure.

#include "memory/control_segment.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

struct Host {
    std::string name;
    std::optional<std::uint32_t> members;  ///< As many as it is to have, or room for.
    friend bool operator==(const Host&, const Host&) = default;
};

/// "a:2,b:2", "a,b".
/// @error invalid_argument  What is wrong with which word, and what to write instead.
[[nodiscard]] tl::expected<std::vector<Host>, Failure> parse_hosts(std::string_view text);

/// A host a line: "a", "a:2", "a slots=2"; empty lines and what follows a '#' do not count. Other words of the line
/// ("max_slots=4") are those of other launchers and are passed over.
/// @param name  Of the file, for sentences.
/// @error invalid_argument  As parse_hosts, with the line.
[[nodiscard]] tl::expected<std::vector<Host>, Failure> parse_hostfile(std::string_view text, std::string_view name);

/// Slurm's SLURM_TASKS_PER_NODE, "2(x3),1": 2 2 2 1. Nothing if it is not that.
[[nodiscard]] std::optional<std::vector<std::uint32_t>> parse_tasks_per_node(std::string_view text);

/// Members of each host, `members` of them in all; hosts at the end that would have none are left out. Hosts with a
/// number are filled in their order, those without share evenly; a number is missing: it is 1 where others have one.
/// @param members  Nothing: as many as the hosts say, one for each that says nothing.
/// @error invalid_argument  The hosts do not have so much room, or some would have no member.
[[nodiscard]] tl::expected<std::vector<std::uint32_t>, Failure> shares_of_hosts(std::span<const Host> hosts,
                                                                                std::optional<std::uint32_t> members);

}  // namespace phoenix::pflight

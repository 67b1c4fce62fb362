#include "pflight/hosts.hpp"

#include "memory/layout.hpp"
#include "pflight/argument.hpp"
#include "pflight/node_shares.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace phoenix::pflight {

namespace {

constexpr std::string_view blanks = " \t\r";

tl::unexpected<Failure> wrong_host(std::string sentence) {
    return refusal(Errc::invalid_argument, std::move(sentence));
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// "user@name" goes to the remote shell as it is; a '-' in front would be an option to it.
bool is_host_name(std::string_view name) {
    constexpr std::string_view others = "-._@";
    return !name.empty() && name.front() != '-' && name.size() < 256 &&
           std::all_of(name.begin(), name.end(), [&](char letter) {
               return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                      (letter >= '0' && letter <= '9') || others.find(letter) != std::string_view::npos;
           });
}

tl::expected<std::uint32_t, Failure> members_of_host(std::string_view number, std::string_view where) {
    const auto members = whole_number(number);
    if (!members || *members == 0 || *members > member_count_max)
        return wrong_host(fmt::format("{}: '{}' is no number of members from 1 to {}; write for example node1:2.",
                                      where, number, member_count_max));
    return static_cast<std::uint32_t>(*members);
}

tl::expected<Host, Failure> parse_host(std::string_view word, std::string_view where) {
    Host host;
    const std::size_t colon = word.find(':');
    host.name = word.substr(0, colon);
    if (!is_host_name(host.name))
        return wrong_host(fmt::format("{}: '{}' is no host; write for example node1 or node1:2.", where, word));
    if (colon == std::string_view::npos) return host;
    const auto members = members_of_host(word.substr(colon + 1), where);
    if (!members) return tl::unexpected(members.error());
    host.members = *members;
    return host;
}

tl::expected<void, Failure> add_host(std::vector<Host>& hosts, Host host, std::string_view where) {
    if (std::any_of(hosts.begin(), hosts.end(), [&](const Host& other) { return other.name == host.name; }))
        return wrong_host(
            fmt::format("{}: host '{}' is named twice; write it once, with the number of its members: {}:2.", where,
                        host.name, host.name));
    if (hosts.size() == node_count_max)
        return wrong_host(fmt::format("{}: a job has at most {} nodes; name fewer hosts.", where, node_count_max));
    hosts.push_back(std::move(host));
    return {};
}

// Takes what is in front of the next `mark`.
std::string_view next_part(std::string_view& rest, char mark) {
    const std::size_t end = std::min(rest.find(mark), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
}

tl::expected<Host, Failure> parse_hostfile_line(std::string_view line, std::string_view where) {
    constexpr std::string_view slots = "slots=";
    const std::size_t end = std::min(line.find_first_of(blanks), line.size());
    auto host = parse_host(line.substr(0, end), where);
    line.remove_prefix(end);
    while (host && !(line = trimmed(line)).empty()) {
        const std::string_view word = line.substr(0, std::min(line.find_first_of(blanks), line.size()));
        line.remove_prefix(word.size());
        if (word.substr(0, slots.size()) != slots) continue;
        const auto members = members_of_host(word.substr(slots.size()), where);
        if (!members) return tl::unexpected(members.error());
        host->members = *members;
    }
    return host;
}

}  // namespace

tl::expected<std::vector<Host>, Failure> parse_hosts(std::string_view text) {
    constexpr std::string_view where = "--hosts";
    std::vector<Host> hosts;
    std::string_view rest = text;
    do {
        auto host = parse_host(trimmed(next_part(rest, ',')), where);
        if (!host) return tl::unexpected(std::move(host.error()));
        if (auto added = add_host(hosts, std::move(*host), where); !added) return tl::unexpected(added.error());
    } while (!rest.empty());
    return hosts;
}

tl::expected<std::vector<Host>, Failure> parse_hostfile(std::string_view text, std::string_view name) {
    std::vector<Host> hosts;
    for (std::size_t number = 1; !text.empty(); ++number) {
        std::string_view line = next_part(text, '\n');
        line = trimmed(line.substr(0, line.find('#')));
        if (line.empty()) continue;
        const std::string where = fmt::format("--hostfile {}, line {}", name, number);
        auto host = parse_hostfile_line(line, where);
        if (!host) return tl::unexpected(std::move(host.error()));
        if (auto added = add_host(hosts, std::move(*host), where); !added) return tl::unexpected(added.error());
    }
    if (hosts.empty())
        return wrong_host(fmt::format("--hostfile {} names no host; write one a line, for example node1:2.", name));
    return hosts;
}

std::optional<std::vector<std::uint32_t>> parse_tasks_per_node(std::string_view text) {
    std::vector<std::uint32_t> tasks;
    while (!text.empty()) {
        std::string_view part = next_part(text, ',');
        std::uint64_t times = 1;
        if (const std::size_t open = part.find("(x"); open != std::string_view::npos) {
            if (part.back() != ')') return std::nullopt;
            const auto count = whole_number(part.substr(open + 2, part.size() - open - 3));
            if (!count || *count > node_count_max) return std::nullopt;
            times = *count;
            part = part.substr(0, open);
        }
        const auto number = whole_number(part);
        if (!number || *number == 0 || *number > member_count_max) return std::nullopt;
        tasks.insert(tasks.end(), times, static_cast<std::uint32_t>(*number));
    }
    return tasks;
}

tl::expected<std::vector<std::uint32_t>, Failure> shares_of_hosts(std::span<const Host> hosts,
                                                                  std::optional<std::uint32_t> members) {
    const bool numbered = std::any_of(hosts.begin(), hosts.end(), [](const Host& host) { return host.members; });
    if (!numbered && members) {
        if (*members < hosts.size())
            return wrong_host(
                fmt::format("-n {}: each of the {} hosts needs a member; write -n {} or more, or name "
                            "fewer hosts.",
                            *members, hosts.size(), hosts.size()));
        return member_shares(*members, static_cast<std::uint32_t>(hosts.size()));
    }
    std::vector<std::uint32_t> shares;
    for (const Host& host : hosts) shares.push_back(host.members.value_or(1));
    const std::uint64_t room = std::accumulate(shares.begin(), shares.end(), std::uint64_t{0});
    if (room > member_count_max && !members)
        return wrong_host(
            fmt::format("The hosts have {} members together, and a job has at most {}; write for "
                        "example -n {}.",
                        room, member_count_max, member_count_max));
    if (!members) return shares;
    if (*members > room)
        return wrong_host(
            fmt::format("-n {}: the hosts have room for {}; write fewer, or more after a host's ':'.", *members, room));
    std::uint32_t rest = *members;
    for (std::uint32_t& share : shares) {
        share = std::min(share, rest);
        rest -= share;
    }
    while (!shares.empty() && shares.back() == 0) shares.pop_back();
    return shares;
}

}  // namespace phoenix::pflight

#pragma once
/// What is done once in the whole job: nodes ask the home node, whose cell decides. Cells of other nodes are claimed by
/// one of their members at a time; what that one wants stands in the cell (JobTurn), so that nothing is lost with a
/// port.

#include "memory/once_cells.hpp"
#include "runtime/port_domain.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace phoenix {

/// Threads: the port's only.
class PortOnce {
  public:
    explicit PortOnce(PortNode node) noexcept : node_(node) {}

    /// Asks and offers what members of this node want; at the home node: answers those whose turn has come.
    void work();
    /// The home node's port is a new one, or the link was broken: everything is asked for again.
    void forget(NodeId peer);

    void take_ask(NodeId from, std::string_view name);
    void take_grant(std::string_view name);
    void take_offer(NodeId from, std::string_view name, std::string_view result);
    void take_result(std::string_view name, std::string_view result);

  private:
    [[nodiscard]] OnceCell* cell_of(std::string_view name) const;
    [[nodiscard]] bool keep_and_record(OnceCell& cell, std::string_view result) const;
    [[nodiscard]] bool answer(NodeId to, const std::string& name);
    void take_grants_back();
    void send(NodeId to, FrameType type, std::string_view name, std::string_view result = {}) const;

    PortNode node_;
    std::uint32_t news_seen_{~std::uint32_t{0}};
    std::map<std::string, std::uint32_t> asked_;              ///< Not at home: turn for which the home node was asked.
    std::map<std::string, std::set<std::uint32_t>> waiting_;  ///< At home: nodes that want to know.
    std::map<std::string, std::uint32_t> granted_;  ///< At home: node whose turn it is, our claim standing for it.
};

}  // namespace phoenix

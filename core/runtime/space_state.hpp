#pragma once
/// A space as one member sees it: the VNodes it has assumed and their channels.

#include "messaging/channel.hpp"
#include "runtime/domain_layout.hpp"

#include <phoenix/space.hpp>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace phoenix::detail {

class RuntimeState;

/// Same logs, directory and channel tables as a domain, without steps: what a VNode consumed is released at once, its
/// channel table is committed when it is given up. Threads: the main thread of the member.
class SpaceState {
  public:
    SpaceState(RuntimeState& runtime, std::string name, const SpaceOptions& options);

    std::vector<std::uint32_t> assume(std::span<const std::uint32_t> vnodes);
    void release(std::span<const std::uint32_t> vnodes);
    [[nodiscard]] bool owns(std::uint32_t vnode) const { return vnode < states_.size() && states_[vnode] != nullptr; }
    [[nodiscard]] std::vector<std::uint32_t> owned() const;
    [[nodiscard]] std::uint32_t vnodes() const noexcept { return options_.vnodes; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    void send(std::uint32_t from, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size);
    [[nodiscard]] std::optional<SpaceMessage> try_receive();
    [[nodiscard]] SpaceMessage receive();
    void arrive(const RecordRef& ref);

  private:
    struct Assumed {
        ChannelTable channels;
        std::uint64_t commit_number{0};
    };

    void seal();
    void check_vnode(const char* call, std::uint32_t vnode) const;
    void load(const std::vector<std::uint32_t>& vnodes);
    void commit(std::uint32_t vnode);
    void file(std::uint32_t vnode, const RecordRef& ref);
    void idle(std::uint32_t attention_before);
    [[nodiscard]] VNodeRecord& record(std::uint32_t vnode) const noexcept;
    [[nodiscard]] AtomicDirectoryWord& word(std::uint32_t vnode) const noexcept;

    RuntimeState* runtime_;
    std::string name_;
    SpaceOptions options_;
    DomainHeader* header_{nullptr};
    std::vector<std::unique_ptr<Assumed>> states_;
    std::deque<std::pair<std::uint32_t, std::uint32_t>> arrivals_;  ///< VNode and peer of records not yet received.
};

}  // namespace phoenix::detail

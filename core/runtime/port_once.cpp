#include "runtime/port_once.hpp"

#include "memory/occupancy.hpp"

#include <cstring>
#include <vector>

namespace phoenix {

namespace {

std::string_view text_of(const MemberContext& context, const OnceCell& cell) {
    return {reinterpret_cast<const char*>(context.arena().at(cell.result_offset)), cell.result_size};
}

bool recorded(const OnceCell& cell) noexcept { return cell.state.load(std::memory_order_acquire) == ~std::uint64_t{0}; }

}  // namespace

void PortOnce::send(NodeId to, FrameType type, std::string_view name, std::string_view result) const {
    const OnceHead head{static_cast<std::uint32_t>(name.size()), 0};
    const std::string payload = std::string{name} + std::string{result};
    (void)node_.links.post_copy(to, type, bytes_of(head), std::as_bytes(std::span{payload}));
}

OnceCell* PortOnce::cell_of(std::string_view name) const {
    auto cell = find_once_cell(node_.context.segment(), name);
    if (cell) return *cell;
    node_.context.fail_quietly(cell.error().code, cell.error().sentence);
    return nullptr;
}

bool PortOnce::keep_and_record(OnceCell& cell, std::string_view result) const {
    std::uint64_t offset = 0;
    if (!result.empty()) {
        auto extent = node_.pool.allocate(result.size(), ExtentKind::lasting);
        if (!extent) {
            node_.context.fail_quietly(extent.error().code, extent.error().sentence);
            return false;
        }
        std::memcpy(node_.pool.data(*extent), result.data(), result.size());
        offset = node_.pool.offset(*extent);
    }
    record_once(cell, offset, result.size());
    node_.context.ring_all();
    return true;
}

void PortOnce::work() {
    const MemberContext& context = node_.context;
    if (context.node() == home_node) {
        take_grants_back();
        for (auto& [name, nodes] : waiting_)
            for (const std::uint32_t node : std::vector<std::uint32_t>{nodes.begin(), nodes.end()})
                if (answer(NodeId{node}, name)) nodes.erase(node);
        std::erase_if(waiting_, [](const auto& entry) { return entry.second.empty(); });
        return;
    }
    const std::uint32_t news = context.header().once_news.load(std::memory_order_acquire);
    if (news == news_seen_ || !node_.links.up(home_node)) return;
    news_seen_ = news;
    for (OnceCell& cell : context.segment().once_cells()) {
        const std::uint32_t turn = cell.job.load(std::memory_order_acquire);
        const bool asks = turn == static_cast<std::uint32_t>(JobTurn::asked);
        const bool offers = turn == static_cast<std::uint32_t>(JobTurn::offered);
        if ((!asks && !offers) || recorded(cell)) continue;
        const std::string name = cell.name.data();
        if (asked_[name] == turn) continue;
        asked_[name] = turn;
        send(home_node, asks ? FrameType::once_ask : FrameType::once_offer, name,
             offers ? text_of(context, cell) : std::string_view{});
    }
}

// At the home node. A node that has lost all its members does nothing any more.
void PortOnce::take_grants_back() {
    const MemberContext& context = node_.context;
    for (auto at = granted_.begin(); at != granted_.end();) {
        if (!is_over(context.segment(), NodeId{at->second})) {
            ++at;
            continue;
        }
        if (OnceCell* cell = cell_of(at->first)) unclaim_once(*cell, {context.slot, context.incarnation});
        at = granted_.erase(at);
        context.ring_all();
    }
}

void PortOnce::forget(NodeId peer) {
    if (peer == home_node) {
        asked_.clear();
        news_seen_ = ~std::uint32_t{0};
    }
    for (auto& [name, nodes] : waiting_) nodes.erase(peer.value);
}

void PortOnce::take_ask(NodeId from, std::string_view name) {
    const std::string key{name};
    if (!answer(from, key)) waiting_[key].insert(from.value);
}

// At the home node. False: somebody else is at it, wait.
bool PortOnce::answer(NodeId to, const std::string& name) {
    const MemberContext& context = node_.context;
    OnceCell* cell = cell_of(name);
    if (cell == nullptr) return true;
    const OnceStatus status =
        claim_once(*cell, {context.slot, context.incarnation},
                   [&](std::uint32_t slot, std::uint32_t incarnation) { return context.seen_dead(slot, incarnation); });
    if (status == OnceStatus::recorded) {
        send(to, FrameType::once_result, name, text_of(context, *cell));
        return true;
    }
    if (status == OnceStatus::elsewhere) return false;
    const auto granted = granted_.try_emplace(name, to.value).first;
    if (granted->second != to.value) return false;
    send(to, FrameType::once_grant, name);
    return true;
}

void PortOnce::take_grant(std::string_view name) {
    OnceCell* cell = cell_of(name);
    if (cell == nullptr) return;
    auto asked = static_cast<std::uint32_t>(JobTurn::asked);
    cell->job.compare_exchange_strong(asked, static_cast<std::uint32_t>(JobTurn::granted), std::memory_order_acq_rel);
    node_.context.ring_all();
}

// Recorded unless it is: another node may have done it as well, if this port's predecessor died while its claim stood
// for the node that offers now. Everybody gets the same.
void PortOnce::take_offer(NodeId from, std::string_view name, std::string_view result) {
    OnceCell* cell = cell_of(name);
    if (cell == nullptr) return;
    const MemberContext& context = node_.context;
    const OnceStatus status =
        claim_once(*cell, {context.slot, context.incarnation},
                   [&](std::uint32_t slot, std::uint32_t incarnation) { return context.seen_dead(slot, incarnation); });
    const std::string key{name};
    if (status == OnceStatus::claimed && !keep_and_record(*cell, result)) return;
    if (status == OnceStatus::elsewhere) {
        waiting_[key].insert(from.value);
        return;
    }
    granted_.erase(key);
    waiting_[key].insert(from.value);
    work();
}

void PortOnce::take_result(std::string_view name, std::string_view result) {
    OnceCell* cell = cell_of(name);
    if (cell == nullptr || recorded(*cell)) return;
    // Whoever was told to do it may be writing its own result this moment; it will offer it, and ask again so.
    if (cell->job.load(std::memory_order_acquire) == static_cast<std::uint32_t>(JobTurn::granted)) return;
    (void)keep_and_record(*cell, result);
}

}  // namespace phoenix

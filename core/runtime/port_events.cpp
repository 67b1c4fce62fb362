/// What the transport tells the port: frames go to whom they concern.

#include "runtime/port_process.hpp"

#include <fmt/format.h>
#include <utility>

namespace phoenix {

void PortProcess::connected(NodeId peer, SessionId) {
    forget(peer);
    links_.connected(peer);
    for (const auto& at : domains_)
        if (at) announce(peer, *at);
    if (over_here_) tell_over(peer);
    outcome_told_ = false;
}

void PortProcess::link_lost(NodeId peer, LinkEnd reason, std::string_view) {
    // Whether the node is gone the time will tell: its port may only have been started anew.
    forget(peer);
    // All is sent again over a new link. What is damaged every time must not keep two nodes busy for ever, so this is
    // not forgotten when something else has come through.
    if (reason == LinkEnd::damaged && ++damaged_links_[peer.value] == damaged_links_max)
        context_.fail_quietly(
            Errc::corrupt,
            fmt::format("What nodes {} and {} send each other was damaged on its way {} times; look after memory and "
                        "network of these machines, and run the job again.",
                        context_.node().value, peer.value, damaged_links_max));
}

void PortProcess::peer_restarted(NodeId peer) { forget(peer); }

void PortProcess::acknowledged(NodeId, std::uint64_t cookie) { links_.acknowledged(cookie); }

void PortProcess::refused(const Refusal&) {
    // The hub has turned it away; nobody of the job is concerned.
}

// Large payloads are read straight into shared memory. Before others know us what would be filed in a log towards them
// waits: they leave logs of those who are in no view (Mailroom::follow), and would never read the rest.
Landing PortProcess::place(NodeId from, const Incoming& incoming) {
    const auto type = static_cast<FrameType>(incoming.type);
    if (!serves_ && (type == FrameType::record || type == FrameType::state)) return Landing::later();
    if (type == FrameType::state) {
        StateHead head{};
        Served* const at = read_head(incoming.head, head) ? served(head.domain) : nullptr;
        if (at == nullptr || head.vnode >= at->domain.header().vnodes) return Landing::transient();
        return at->domain.place_state(from, head, incoming.size);
    }
    if (type != FrameType::record || incoming.size <= chunk_payload_max) return Landing::transient();
    auto extent = pool_.allocate(incoming.size, ExtentKind::payload);
    if (!extent) {
        context_.fail_quietly(extent.error().code, extent.error().sentence);
        return Landing::transient();
    }
    std::byte* const address = pool_.data(*extent);
    placed_[address] = *extent;
    return Landing::at(address);
}

void PortProcess::withdrawn(NodeId, std::byte* address) {
    for (const auto& at : domains_)
        if (at && at->domain.withdraw_state(address)) return;
    const auto found = placed_.find(address);
    if (found == placed_.end()) return;
    pool_.free(found->second);
    placed_.erase(found);
}

void PortProcess::frame(NodeId from, const Incoming& incoming, std::span<const std::byte> payload) {
    ExtentId extent = 0;
    if (const auto found = placed_.find(payload.data()); found != placed_.end()) {
        extent = found->second;
        placed_.erase(found);
    }
    const auto type = static_cast<FrameType>(incoming.type);
    switch (type) {
        case FrameType::once_ask:
        case FrameType::once_grant:
        case FrameType::once_offer:
        case FrameType::once_result: {
            OnceHead head;
            if (read_head(incoming.head, head)) take_once(from, type, head, payload);
            return;
        }
        case FrameType::outcome: {
            OutcomeHead head;
            if (read_head(incoming.head, head)) take_outcome(head, payload);
            note_over(from);  // it needs nothing more, even if all has been completed here
            return;
        }
        case FrameType::over: return note_over(from);
        default: return take_domain_frame(from, type, incoming.head, payload, extent);
    }
}

// In shared memory before it is accepted: the other port will be gone when the next one here could ask.
void PortProcess::note_over(NodeId peer) noexcept {
    context_.header().nodes_over.fetch_or(std::uint64_t{1} << peer.value, std::memory_order_release);
}

void PortProcess::take_domain_ready(NodeId from, const DomainReadyHead& head) {
    const Served* const at = served(head.domain);
    if (at != nullptr && at->domain.header().layout_hash != head.layout_hash)
        context_.fail_quietly(
            Errc::mismatch,
            fmt::format("Domain '{}' was declared differently on node {}: main must be the same function of its "
                        "arguments in every process (same program, VNodes, fields, shapes and options).",
                        at->domain.header().name.data(), from.value));
    if (head.domain < domain_count_max) links_.set_ready(from, head.domain);
}

void PortProcess::take_domain_frame(NodeId from, FrameType type, std::span<const std::byte> bytes,
                                    std::span<const std::byte> payload, ExtentId extent) {
    // All heads of this kind but two begin with the domain.
    std::uint32_t domain = domain_count_max;
    RecordFrameHead record{};
    if (type == FrameType::record && read_head(bytes, record)) {
        domain = record.domain;
    } else if (type != FrameType::record && bytes.size() >= sizeof domain) {
        std::memcpy(&domain, bytes.data(), sizeof domain);
    }
    DomainReadyHead ready{};
    if (type == FrameType::domain_ready && read_head(bytes, ready)) return take_domain_ready(from, ready);
    Served* const at = served(domain);
    LocationFrameHead location{};
    StateHead state{};
    CommitsHead commits{};
    PlaceHead place{};
    FetchHead fetch{};
    PartHead part{};
    CensusHead census{};
    const bool known = at != nullptr;
    if (known && type == FrameType::record && record.destination < at->domain.header().vnodes)
        return at->domain.take_record(from, record, payload, extent);
    if (extent != 0) pool_.free(extent);
    if (!known) return;
    if (is_checked(type)) {
        if (!read_head(bytes, state) || state.vnode >= at->domain.header().vnodes) return;
        return type == FrameType::state ? at->domain.take_state(from, state)
                                        : at->domain.take_state_meta(from, state, payload);
    }
    if (type == FrameType::stored && read_head(bytes, location)) return at->domain.take_stored(from, location);
    if (type == FrameType::hint && read_head(bytes, location)) return at->domain.take_hint(location);
    if (type == FrameType::commits && read_head(bytes, commits) &&
        payload.size() == commits.count * sizeof(CommitNews)) {
        std::vector<CommitNews> news(commits.count);
        std::memcpy(news.data(), payload.data(), payload.size());
        return at->progress.take_commits(news);
    }
    if (type == FrameType::census && read_head(bytes, census)) return at->balance.take_census(from, census);
    if (type == FrameType::place && read_head(bytes, place)) return at->collectives.take_place(place, payload);
    if (type == FrameType::fetch && read_head(bytes, fetch)) return at->progress.take_fetch(from, fetch);
    if (type == FrameType::part && read_head(bytes, part)) return at->progress.take_part(part, payload);
}

void PortProcess::take_once(NodeId from, FrameType type, const OnceHead& head, std::span<const std::byte> payload) {
    const std::string_view text{reinterpret_cast<const char*>(payload.data()), payload.size()};
    if (head.name_size > text.size()) return;
    const std::string_view name = text.substr(0, head.name_size);
    const std::string_view result = text.substr(head.name_size);
    switch (type) {
        case FrameType::once_ask: return once_.take_ask(from, name);
        case FrameType::once_grant: return once_.take_grant(name);
        case FrameType::once_offer: return once_.take_offer(from, name, result);
        case FrameType::once_result: return once_.take_result(name, result);
        default: return;
    }
}

void PortProcess::take_outcome(const OutcomeHead& head, std::span<const std::byte> payload) {
    outcome_told_ = true;  // whoever told us tells everybody
    context_.fail_quietly(static_cast<Errc>(head.code),
                          {reinterpret_cast<const char*>(payload.data()), payload.size()});
}

}  // namespace phoenix

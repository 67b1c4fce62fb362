#include "runtime/port_process.hpp"

#include "base/clock.hpp"
#include "control/port_address.hpp"
#include "memory/occupancy.hpp"
#include "messaging/doorbell.hpp"
#include "runtime/port.hpp"
#include "runtime/sweep.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <poll.h>

namespace phoenix {

namespace {

constexpr std::uint64_t look_period_ns = 20'000'000;
constexpr std::uint64_t reclaim_period_ns = 100'000'000;
constexpr std::uint64_t reconnect_pause_ns = 100'000'000;
constexpr std::uint64_t outcome_patience_ns = 2'000'000'000;

// All nodes of a job have segments of their own, `<job>.<node>`; between nodes it has one name.
std::string common_job_id(const MemberContext& context) {
    std::string id = context.segment().job_id();
    const std::string suffix = fmt::format(".{}", context.node().value);
    if (id.size() > suffix.size() && id.ends_with(suffix)) id.resize(id.size() - suffix.size());
    return id;
}

}  // namespace

PortProcess::PortProcess(MemberContext context, std::unique_ptr<Carrier> carrier)
    : context_(std::move(context)),
      pool_(context_.segment(), context_.arena(), context_.slot),
      mail_(context_, pool_),
      links_(context_.node(), context_.node_count()),
      once_({context_, pool_, mail_, links_}),
      carrier_(std::move(carrier)),
      bell_(context_.record()) {}

tl::expected<void, Failure> PortProcess::open() {
    HubOptions options;
    options.node = context_.node();
    options.job_id = common_job_id(context_);
    options.secret = context_.header().secret;
    if (const char* address = std::getenv(port_address_variable)) options.bind_address = address;
    std::unique_ptr<CarriedTransport> carried;
    if (carrier_) {
        CarrierOptions carrier;
        if (const char* size = std::getenv(carry_from_variable)) carrier.size_min = std::strtoull(size, nullptr, 10);
        carried = std::make_unique<CarriedTransport>(std::move(carrier_), *this, carrier);
    }
    auto hub = Hub::create(options, carried ? carried->of_base() : *this);
    if (!hub) return tl::unexpected(std::move(hub.error()));
    if (carried) {
        carried->use(std::move(*hub));
        carried_ = carried.get();
        transport_ = std::move(carried);
    } else {
        transport_ = std::move(*hub);
    }
    links_.use(*transport_);
    ControlHeader& header = context_.header();
    // Two may be started, by mpirun and by the agent that waited for it in vain: one serves.
    std::uint32_t seen = header.port.load(std::memory_order_acquire);
    do {
        if (seen != 0 && context_.is_port(seen - 1) && identity_of(context_.segment().member(seen - 1)).alive())
            return refusal(Errc::refused, "Another port serves this node.");
    } while (!header.port.compare_exchange_weak(seen, context_.slot + 1, std::memory_order_acq_rel));
    header.port_addresses[context_.node().value].store(packed_port_address(transport_->address()),
                                                       std::memory_order_release);
    context_.ring_all();
    const std::uint64_t now = boot_time_ns();
    without_link_since_ns_.fill(now);
    return {};
}

tl::expected<void, Failure> PortProcess::run() {
    if (auto opened = open(); !opened) {
        if (opened.error().code != Errc::refused) return opened;
        leave_job(context_);
        return {};
    }
    service_ = std::make_unique<Service>(context_);
    while (!over())
        if (!work()) wait();
    service_.reset();
    leave_job(context_);  // if the agent is gone, the last one who leaves removes the job's names: that is us
    return {};
}

// One round of everything. True if there may be more to do at once.
bool PortProcess::work() {
    beat();
    const std::uint64_t now = boot_time_ns();
    const std::uint32_t attention = context_.record().attention.load(std::memory_order_acquire);
    const bool news = attention != attention_seen_ || now > last_look_ns_ + look_period_ns;
    attention_seen_ = attention;
    if (news) {
        last_look_ns_ = now;
        look_whether_to_serve();
        connect_to_peers();
        find_domains();
        look_at_outcome();
        show_routes();
        look_at_lost_nodes();
        look_for_missing_domains();
        look_for_members();
    }
    std::size_t done = mail_.poll([this](const RecordRef& ref) {
        if (Served* at = served(ref.record->domain())) at->domain.arrive(ref);
    });
    service_->pass_news_on();
    if (serves_ && news) share_out();
    if (serves_)
        for (const auto& at : domains_) {
            if (!at) continue;
            at->collectives.work();
            at->domain.hold_back(!at->collectives.settled());
            at->domain.work(news);
            if (news) at->progress.work();
        }
    once_.work();
    if (news)
        mail_.part_from_the_gone(context_.current_view(),
                                 [this](const Record& record) { return consumed_by_commit(context_, pool_, record); });
    if (now > last_sweep_ns_ + reclaim_period_ns) {
        last_sweep_ns_ = now;
        mail_.sweep([this](const Record& record) { return consumed_by_commit(context_, pool_, record); });
    }
    done += transport_->poll(0);
    return done != 0;
}

// When members are through with main nothing need be brought to those of other nodes any more.
void PortProcess::share_out() {
    const bool ends = somebody_finished(context_.segment());
    std::uint32_t keepers = 0;
    heard_from_all_ = true;
    for (const auto& at : domains_) {
        if (!at) continue;
        if (!ends) at->balance.work();
        if (!ends) keepers = std::max(keepers, at->balance.keepers_elsewhere());
        heard_from_all_ = heard_from_all_ && at->balance.heard_from_all();
        at->domain.set_refuge(ends ? std::nullopt : at->balance.refuge());
    }
    // What a predecessor has heard counts until others have told us as well: members drain by it.
    if (!heard_from_all_ && !ends)
        keepers = std::max(keepers, context_.header().keepers_elsewhere.load(std::memory_order_relaxed));
    if (context_.header().keepers_elsewhere.exchange(keepers, std::memory_order_acq_rel) == keepers) return;
    ring_services(context_.segment());
    service_->kick();
}

// Once the work of this node is completed nobody makes views any more, and a new port serves all the same: others may
// not know yet how far its VNodes are.
void PortProcess::look_whether_to_serve() {
    const bool before = serves_;
    serves_ = context_.current_view().is_active(MemberSlot{context_.slot}) ||
              (somebody_finished(context_.segment()) && !somebody_lives(context_.segment()));
    if (!serves_ || before) return;
    for (const NodeId peer : transport_->peers()) transport_->resume(peer);  // see place()
}

void PortProcess::wait() {
    MemberRecord& mine = context_.record();
    transport_->flush();
    prepare_sleep(mine);
    if (mail_.anything_new() || mine.attention.load(std::memory_order_acquire) != attention_seen_) {
        cancel_sleep(mine);
        return;
    }
    bell_.arm();
    std::array<pollfd, 2> entries{{{transport_->descriptor(), POLLIN, 0}, {bell_.descriptor(), POLLIN, 0}}};
    poll(entries.data(), entries.size(), static_cast<int>(look_period_ns / 1'000'000));
    bell_.disarm();
}

void PortProcess::beat() noexcept {
    const std::uint64_t now = boot_time_ns();
    if (now - last_beat_ns_ < std::uint64_t{context_.settings.heartbeat_period_ms} * 1'000'000) return;
    last_beat_ns_ = now;
    context_.record().heartbeat.fetch_add(1, std::memory_order_relaxed);  // a sign of life, publishes nothing
}

// The node with the lower number calls the other.
void PortProcess::connect_to_peers() {
    const std::uint64_t now = boot_time_ns();
    for (std::uint32_t node = context_.node().value + 1; node < context_.node_count(); ++node) {
        const std::uint64_t address = context_.header().port_addresses[node].load(std::memory_order_acquire);
        const bool elsewhere_now = address != tried_address_[node];
        if (address == 0 || (is_over(context_.segment(), NodeId{node}) && !elsewhere_now)) continue;
        const bool linked = transport_->status(NodeId{node}).state != LinkState::absent;
        if (!elsewhere_now && (linked || now < tried_ns_[node] + reconnect_pause_ns)) continue;
        if (linked) {
            // There is a new port, so the one that is called, or was, is dead.
            transport_->disconnect(NodeId{node});
            forget(NodeId{node});
        }
        tried_address_[node] = address;
        tried_ns_[node] = now;
        (void)transport_->connect(NodeId{node}, port_address_text(address));
    }
}

void PortProcess::find_domains() {
    const std::uint32_t count =
        std::min(context_.header().domain_count.load(std::memory_order_acquire), domain_count_max);
    for (std::uint32_t index = 0; index < count; ++index) {
        DomainHeader* header = context_.domain_header(index);
        if (header == nullptr || domains_[index] || header->locations_offset == 0) continue;
        domains_[index] = std::make_unique<Served>(PortNode{context_, pool_, mail_, links_}, *header);
        for (const NodeId peer : links_.peers_up()) announce(peer, *domains_[index]);
    }
}

void PortProcess::announce(NodeId peer, const Served& at) {
    const DomainReadyHead head{at.domain.index(), 0, at.domain.header().layout_hash};
    (void)links_.post_copy(peer, FrameType::domain_ready, bytes_of(head));
}

void PortProcess::look_at_outcome() {
    const Outcome outcome = context_.segment().outcome();
    if (outcome == Outcome::running || outcome == Outcome::deciding || outcome == Outcome::completed) return;
    if (outcome_since_ns_ == 0) outcome_since_ns_ = boot_time_ns();
    if (std::exchange(outcome_told_, true)) return;
    const std::string text = context_.segment().outcome_text();
    const OutcomeHead head{static_cast<std::uint32_t>(context_.header().outcome_code), 0};
    for (const NodeId peer : links_.peers_up())
        (void)links_.post_copy(peer, FrameType::outcome, bytes_of(head), std::as_bytes(std::span{text}));
}

void PortProcess::show_routes() noexcept {
    for (std::uint32_t node = 0; node < context_.node_count(); ++node) {
        if (NodeId{node} == context_.node()) continue;
        RouteRecord& route = context_.header().routes[node];
        const CarriedStatus carried = carried_ != nullptr ? carried_->carried(NodeId{node}) : CarriedStatus{};
        // Read by people only: no order is needed.
        const auto show = [](auto& shown, auto value) { shown.store(value, std::memory_order_relaxed); };
        show(route.state, !links_.up(NodeId{node}) ? RouteState::none
                          : carried.carries        ? RouteState::mpi
                                                   : RouteState::tcp);
        show(route.reconnects, static_cast<std::uint32_t>(transport_->status(NodeId{node}).reconnects));
        show(route.carried_frames, carried.sent_frames);
        show(route.carried_bytes, carried.sent_bytes);
        show(route.withdrawn_frames, carried.withdrawn_frames);
        show(route.kept_bytes, carried.kept_bytes);
    }
}

bool PortProcess::is_lost(std::uint32_t node) const noexcept {
    const std::uint64_t patience = std::uint64_t{context_.settings.start_timeout_ms} * 1'000'000;
    return !links_.up(NodeId{node}) && boot_time_ns() > without_link_since_ns_[node] + patience;
}

void PortProcess::look_at_lost_nodes() {
    for (std::uint32_t node = 0; node < context_.node_count(); ++node) {
        if (NodeId{node} == context_.node() || is_over(context_.segment(), NodeId{node}) || !is_lost(node)) continue;
        context_.fail_quietly(Errc::member_lost,
                              fmt::format("Node {} cannot be reached any more, and what its VNodes had done is lost "
                                          "with it; run the job again.",
                                          node));
    }
}

// A domain is made on each node by a member of that node.
void PortProcess::look_for_missing_domains() {
    if (!over_here_ || somebody_finished(context_.segment())) return;
    for (std::uint32_t domain = 0; domain < domain_count_max; ++domain) {
        const std::vector<NodeId> peers = links_.peers_up();
        const bool made_elsewhere =
            std::any_of(peers.begin(), peers.end(), [&](NodeId peer) { return links_.ready(peer, domain); });
        if (domains_[domain] || !made_elsewhere) continue;
        context_.fail_quietly(
            Errc::member_lost,
            fmt::format("All members of node {} died or retired before they had made the domain that "
                        "other nodes go on with, so its VNodes there do not exist; run the job again.",
                        context_.node().value));
    }
}

// VNodes are here, and nowhere is a member left who could take them. Whoever started the job has ended it long before,
// if it lives.
void PortProcess::look_for_members() {
    const ControlSegment& segment = context_.segment();
    const bool hopeless = !over_here_ && serves_ && heard_from_all_ &&
                          context_.header().keepers_elsewhere.load(std::memory_order_relaxed) == 0 &&
                          !somebody_lives(segment) && !somebody_finished(segment) && everybody_came(segment);
    const std::uint64_t now = boot_time_ns();
    if (!hopeless) hopeless_since_ns_ = now;
    if (now <= hopeless_since_ns_ + std::uint64_t{context_.settings.start_timeout_ms} * 1'000'000) return;
    context_.fail_quietly(Errc::member_lost, "All members of all nodes died or retired; run the job again.");
}

// All members have died or retired, and their VNodes are on other nodes: nothing will happen here any more.
bool PortProcess::is_deserted() const {
    return everybody_came(context_.segment()) && std::all_of(domains_.begin(), domains_.end(), [](const auto& at) {
               if (!at) return true;
               for (std::uint32_t v = 0; v < at->domain.header().vnodes; ++v)
                   if (at->domain.location(v).state() != LocationState::away) return false;
               return true;
           });
}

bool PortProcess::over() {
    if (outcome_since_ns_ != 0)
        return links_.outstanding() == 0 || boot_time_ns() > outcome_since_ns_ + outcome_patience_ns;
    const auto nobody_will_come = [this] {
        const ControlSegment& segment = context_.segment();
        return !somebody_lives(segment) && (somebody_finished(segment) || is_deserted());
    };
    if (!over_here_ && say_over(context_.segment(), nobody_will_come)) {
        over_here_ = true;
        for (const NodeId peer : links_.peers_up()) tell_over(peer);
    }
    if (!over_here_) return false;
    for (std::uint32_t node = 0; node < context_.node_count(); ++node) {
        if (NodeId{node} == context_.node()) continue;
        // Our own work may be completed already, and then no failure ends the wait for one that is gone.
        if (is_lost(node)) continue;
        // One that has said so and is gone has heard us, or it would still be there.
        if (!is_over(context_.segment(), NodeId{node}) || (links_.up(NodeId{node}) && !over_accepted_[node]))
            return false;
    }
    return true;
}

void PortProcess::tell_over(NodeId peer) {
    (void)links_.post_copy(peer, FrameType::over, {}, {},
                           [this, peer](bool accepted) { over_accepted_[peer.value] = accepted; });
}

void PortProcess::forget(NodeId peer) {
    links_.ended(peer);
    for (const auto& at : domains_) {
        if (!at) continue;
        at->domain.link_ended(peer);
        at->progress.forget(peer);
        at->collectives.forget(peer);
        at->balance.forget(peer);
    }
    once_.forget(peer);
    without_link_since_ns_[peer.value] = boot_time_ns();
}

int run_port(const std::function<std::unique_ptr<Carrier>()>& make_carrier) {
    signal(SIGPIPE, SIG_IGN);
    const auto say = [](const Failure& failure) {
        std::fprintf(stderr, "phoenix port: %s\n", failure.sentence.c_str());
        return 1;
    };
    auto context = register_member(MemberRole::port);
    if (!context) return say(context.error());
    auto process = std::make_unique<PortProcess>(std::move(*context), make_carrier ? make_carrier() : nullptr);
    if (auto served = process->run(); !served) return say(served.error());
    return 0;
}

}  // namespace phoenix

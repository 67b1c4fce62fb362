#pragma once
/// A node of a job of several, with one domain, for tests of the port: its shared memory is real, the network is not.

#include "memory/arena.hpp"
#include "messaging/channel.hpp"
#include "runtime/mailroom.hpp"
#include "runtime/port_domain.hpp"
#include "runtime/port_links.hpp"

#include <phoenix/domain.hpp>

#include <atomic>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace phoenix::testing_tools {

/// Keeps what is sent; the test says what becomes of it.
class FakeTransport final : public Transport {
  public:
    struct Frame {
        NodeId peer;
        FrameType type;
        std::vector<std::byte> head;
        std::vector<std::byte> payload;
        std::uint64_t cookie;
    };
    tl::expected<void, Failure> connect(NodeId, std::string_view) override { return {}; }
    void disconnect(NodeId) override {}
    tl::expected<void, Failure> send(NodeId peer, const Outgoing& outgoing) override {
        Frame frame{peer,
                    static_cast<FrameType>(outgoing.type),
                    {outgoing.head.begin(), outgoing.head.end()},
                    {},
                    outgoing.cookie};
        for (const auto& piece : outgoing.pieces) frame.payload.insert(frame.payload.end(), piece.begin(), piece.end());
        sent.push_back(std::move(frame));
        return {};
    }
    bool writable(NodeId) const override { return sent.size() < room; }
    LinkStatus status(NodeId) const override { return {}; }
    std::vector<NodeId> peers() const override { return {}; }
    void resume(NodeId) override {}
    void flush() override {}
    std::size_t poll(int) override { return 0; }
    int descriptor() const noexcept override { return -1; }
    std::string address() const override { return {}; }
    SessionId session() const noexcept override { return SessionId{1}; }
    std::size_t prompt_size_max() const noexcept override { return 65536; }

    std::vector<Frame> sent;
    std::size_t room{1000};
};

/// Node `id` of `nodes`, its port in slot 255, its member in slot 0.
class PortNodeFixture {
  public:
    static constexpr std::uint32_t port_slot = 255;
    static constexpr std::uint32_t member_slot = 0;
    static constexpr std::uint64_t heat_bytes = 128;  ///< Of a buffer of the two-buffer field.

    PortNodeFixture(std::uint32_t id, std::uint32_t nodes, std::uint32_t vnodes) : links(NodeId{id}, nodes) {
        static std::atomic<int> number{0};
        const std::string job = fmt::format("port-test-{}-{}", getpid(), number++);
        auto segment = ControlSegment::create(job);
        ControlSegment::remove(job);  // the mapping stays
        context.access.segment = std::make_unique<ControlSegment>(std::move(*segment));
        context.access.arena =
            std::move(*Arena::map(context.segment(), std::move(*Arena::create(context.segment(), false))));
        context.header().node_id = id;
        context.header().node_count = nodes;
        context.slot = port_slot;
        context.incarnation = 1;
        context.segment().member(port_slot).role = static_cast<std::uint32_t>(MemberRole::port);
        pool = std::make_unique<ExtentPool>(context.segment(), context.arena(), port_slot);
        mail = std::make_unique<Mailroom>(context, *pool);
        make_domain(id, nodes, vnodes);
        links.use(network);
        for (std::uint32_t peer = 0; peer < nodes; ++peer) {
            if (peer == id) continue;
            links.connected(NodeId{peer});
            links.set_ready(NodeId{peer}, 0);
        }
        port = std::make_unique<PortDomain>(PortNode{context, *pool, *mail, links}, *domain);
    }

    void make_domain(std::uint32_t id, std::uint32_t nodes, std::uint32_t vnodes) {
        const auto reserve = [&](std::uint64_t bytes) { return *context.arena().reserve(bytes); };
        const std::uint64_t offset = reserve(sizeof(DomainHeader));
        domain = &context.arena().object<DomainHeader>(offset);
        domain->vnodes = vnodes;
        domain->field_count = 2;
        domain->recovery = static_cast<std::uint32_t>(Recovery::local);
        domain->slot_size = sizeof(CommitSlot) + 2 * sizeof(FieldCommit);
        domain->record_stride = sizeof(VNodeRecord) + 2 * domain->slot_size;
        domain->records_offset = reserve(std::uint64_t{vnodes} * domain->record_stride);
        domain->directory_offset = reserve(std::uint64_t{vnodes} * 8);
        domain->requests_offset = reserve(std::uint64_t{vnodes} * 8);
        domain->locations_offset = reserve(std::uint64_t{vnodes} * 8);
        FieldRecord& heat = domain->fields[0];
        heat.buffers = 2;
        heat.element_size = 8;
        heat.table_offset = reserve(std::uint64_t{vnodes} * sizeof(FieldPlace));
        FieldRecord& particles = domain->fields[1];
        particles.resizable = 1;
        particles.element_size = 8;
        for (std::uint32_t v = 0; v < vnodes; ++v) {
            const NodeId first = first_node_of(v, vnodes, nodes);
            const bool here = first.value == id;
            context.location_word(*domain, v) =
                LocationWord::make(first, here ? LocationState::here : LocationState::away, 0).bits;
            const MemberSlot owner{here ? member_slot : port_slot};
            context.directory_word(*domain, v) = DirectoryWord::make(owner, OwnerState::active, 1).bits;
            auto& place = context.arena().object<FieldPlace>(heat.table_offset + v * sizeof(FieldPlace));
            place.buffer_bytes = heat_bytes;
            if (here) place.offset = reserve(2 * heat_bytes);
        }
        context.header().domains[0].store(offset);
    }

    /// As the member of this node would.
    void send_from_member(std::uint32_t from, std::uint32_t to, std::uint64_t sequence, std::string_view text) {
        if (!writer) {
            member_pool = std::make_unique<ExtentPool>(context.segment(), context.arena(), member_slot);
            writer = std::make_unique<LogWriter>(*member_pool, context.arena(),
                                                 context.segment().log_head(port_slot, member_slot),
                                                 LogEnds{member_slot, port_slot, 1});
        }
        last = *writer->append({from, to, 7, 0, sequence, 0, 0}, text.data(), text.size());
        if (writer->take_new()) context.segment().member(port_slot).new_logs.fetch_add(1);
    }
    /// The port has the VNode, as if a member had given it to it.
    void give_to_port(std::uint32_t vnode) {
        const DirectoryWord word{context.directory_word(*domain, vnode).load()};
        context.directory_word(*domain, vnode) = word.given_to(MemberSlot{port_slot}).bits;
    }
    void wish(std::uint32_t vnode, std::uint32_t node) {
        const DirectoryWord word{context.directory_word(*domain, vnode).load()};
        context.move_request(*domain, vnode) = MoveRequest::to_node(NodeId{node}, word.version()).bits;
    }
    void work() {
        (void)mail->poll([&](const RecordRef& ref) { port->arrive(ref); });
        port->work(true);
    }
    [[nodiscard]] DirectoryWord word(std::uint32_t vnode) const {
        return DirectoryWord{context.directory_word(*domain, vnode).load()};
    }
    [[nodiscard]] std::vector<FakeTransport::Frame> sent(FrameType type) const {
        std::vector<FakeTransport::Frame> result;
        for (const auto& frame : network.sent)
            if (frame.type == type) result.push_back(frame);
        return result;
    }

    MemberContext context;
    std::unique_ptr<ExtentPool> pool;
    std::unique_ptr<ExtentPool> member_pool;
    std::unique_ptr<Mailroom> mail;
    std::unique_ptr<LogWriter> writer;
    RecordRef last;
    DomainHeader* domain{nullptr};
    FakeTransport network;
    PortLinks links;
    std::unique_ptr<PortDomain> port;
};

/// Commits something that can be recognised: heat in buffer 1, three particles, one channel.
inline void commit_sample(PortNodeFixture& node, std::uint32_t vnode) {
    VNodeRecord& record = node.context.vnode_record(*node.domain, vnode);
    const std::uint64_t number = record.select.load() + 1;
    CommitSlot& slot = slot_of(record, *node.domain, number);
    slot.phase = 2;
    slot.step = 41;
    slot.serial = 42;
    slot.sync_round = 7;
    ChannelTable table;
    table.at(3).consumed.low = 5;
    table.at(3).send_next = 9;
    slot.channel_extent = *node.pool->allocate(channels_size(table), ExtentKind::state, 0, vnode);
    slot.channel_count = 1;
    write_channels(table, node.pool->data(slot.channel_extent));
    fields_of(slot)[0] = {1, 0};
    auto& place = node.context.arena().object<FieldPlace>(node.domain->fields[0].table_offset +
                                                          std::uint64_t{vnode} * sizeof(FieldPlace));
    std::memset(node.context.arena().at(place.offset + PortNodeFixture::heat_bytes), 0x5A, PortNodeFixture::heat_bytes);
    const ExtentId particles = *node.pool->allocate(24, ExtentKind::state, 0, vnode);
    std::memset(node.pool->data(particles), 0x3C, 24);
    fields_of(slot)[1] = {particles, 3};
    slot.number = number;
    record.select.store(number);
}

}  // namespace phoenix::testing_tools
